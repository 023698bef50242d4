"""The rules of the house that no linter knows."""

import ast
import importlib
import inspect
import re
import tomllib

import pytest
from pydantic_settings import BaseSettings

from tests.architecture.source import PACKAGES, ROOT, SERVICE_FOLDERS, modules, text_files

LONGEST_FILE_LINES = 300
CODE_FILES = modules(*PACKAGES)

# Put together from pieces, so that this file does not name what no file may name.
_UNNAMEABLE = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("golang", "org"),
        ("rubygems", "org"),
    )
]


def test_no_file_is_too_long_to_read() -> None:
    long = {module.name: len(module.text.splitlines()) for module in CODE_FILES}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FILE_LINES} == {}


def test_services_log_and_never_print() -> None:
    printing = [
        f"{module.name}:{node.lineno}"
        for module in modules(*SERVICE_FOLDERS, "shared")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_modules_are_nouns() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common", "manager", "managers"}
    assert [module.name for module in CODE_FILES if module.path.stem in drawers] == []


def test_nothing_is_left_to_be_done() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X:")
    left = [module.name for module in modules(*PACKAGES, "tests") if any(m in module.text for m in marks)]
    assert left == []


def test_the_version_stands_in_the_project_file_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [module.name for module in CODE_FILES if project["version"] in set(module.strings())] == []


def test_sql_is_spoken_in_storage_alone() -> None:
    speaking = [
        module.name
        for module in modules("gateway_service", "user_service", "template_service")
        if "storage" not in module.path.parts
        and any(re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH) ", text) for text in module.strings())
    ]
    assert speaking == []


def test_what_is_public_has_a_docstring() -> None:
    bare = []
    for module in CODE_FILES:
        if module.text.strip() and ast.get_docstring(module.tree) is None:
            bare.append(module.name)
        for node in module.tree.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not node.name.startswith("_") and ast.get_docstring(node) is None:
                bare.append(f"{module.name}:{node.lineno} {node.name}")
    # A revision's upgrade and downgrade are Alembic's, and its docstring is the module's.
    assert [place for place in bare if "/migrations/versions/" not in place] == []


def settings_classes() -> list[type[BaseSettings]]:
    """Every settings class in the packages."""
    found = set()
    for module in CODE_FILES:
        if "settings" in module.path.stem:
            imported = importlib.import_module(".".join(module.path.relative_to(ROOT).with_suffix("").parts))
            found |= {
                member
                for _, member in inspect.getmembers(imported, inspect.isclass)
                if issubclass(member, BaseSettings) and member is not BaseSettings
            }
    return sorted(found, key=lambda settings_class: settings_class.__qualname__)


@pytest.mark.parametrize("settings_class", settings_classes())
def test_every_setting_is_described_and_in_the_one_namespace(settings_class: type[BaseSettings]) -> None:
    assert settings_class.model_config["env_prefix"] == "CARILLON_"
    fields = settings_class.model_fields.items()
    assert [name for name, field in fields if not field.description] == []


def test_the_repository_names_no_package_registry() -> None:
    naming = [
        f"{name}: {host}" for name, text in text_files() for host in _UNNAMEABLE if host in text.lower()
    ]
    assert naming == []
