"""The repository as the tests of its architecture see it: files and syntax trees, nothing imported."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVICE_FOLDERS = tuple(sorted(folder.name for folder in ROOT.glob("*_service") if folder.is_dir()))
PACKAGES = (*SERVICE_FOLDERS, "shared", "carillon")


@dataclass(frozen=True)
class Module:
    """One Python file."""

    path: Path

    @property
    def name(self) -> str:
        """As it is spoken of in failures."""
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        """Its source."""
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax."""
        return ast.parse(self.text)

    def strings(self) -> Iterator[str]:
        """Every string in it that is not a docstring or a bare string under a constant."""
        prose = {id(node.value) for node in ast.walk(self.tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                yield node.value

    def imported(self) -> Iterator[str]:
        """The top-level names of what it imports."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def modules(*folders: str) -> list[Module]:
    """Every Python file below these folders of the repository."""
    return [Module(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def text_files() -> Iterator[tuple[str, str]]:
    """Name and text of every file that is, or would be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            yield name, path.read_text(errors="replace")
