"""RabbitMQ 4 from Debian 13's packages, unpacked into a folder of its own beside whatever is installed.

Nothing is installed and no root is needed: apt works in a private root, checks Debian's signatures as ever,
and the programs run on the C library that came with them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from carillon.setup_error import SetupError

_SUITE = "trixie"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_COMMAND_TIMEOUT_S = 60
# With what rabbitmq-server depends on apt names half a Debian; of that the node wants its libraries alone.
_WANTED = ("rabbitmq-server", "erlang-", "lib", "zlib1g")
_UNWANTED = ("libpython", "libpam", "libperl")

_ERL = """#!/bin/sh
export EMU=beam PROGNAME=erl ROOTDIR={root} BINDIR={programs}
exec "$BINDIR/erlexec" "$@"
"""
# By the option, not by LD_LIBRARY_PATH: the shell and `df`, which the node starts, are the system's.
_PROGRAM = """#!/bin/sh
exec {loader} --library-path {libraries} {program} "$@"
"""


def unpacked_rabbitmq() -> Path:
    """The folder that stands for `/`, made at the first time: 45 MB to download and ten seconds.

    Raises SetupError where this machine cannot have it.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None or not _KEYRING.exists():
        raise SetupError("RabbitMQ 4 is unpacked from Debian's packages, and this is no Debian.")
    folder = _cache() / f"rabbitmq-{_SUITE}"
    if folder.exists():
        return folder
    sys.stderr.write(f"\nUnpacking RabbitMQ 4 from Debian's packages into {folder}, for the tests.\n")
    with tempfile.TemporaryDirectory(prefix="carillon-apt-") as private:
        packages = _download(Path(private))
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            unfinished.chmod(0o755)  # the node runs under another account
            for package in packages:
                _run("dpkg", "--extract", str(package), str(unfinished))
            _make_runnable(unfinished, final=folder)
            unfinished.rename(folder)
        except OSError as error:
            if not folder.exists():  # else another test run was quicker
                raise SetupError(f"RabbitMQ 4 cannot be unpacked: {error}") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _cache() -> Path:
    """Where other accounts can reach it: root's home is closed to them."""
    parent = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    folder = parent / "carillon-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _download(private: Path) -> list[Path]:
    for part in ("lists/partial", "archives/partial"):
        (private / part).mkdir(parents=True)
    (private / "status").touch()
    private.chmod(0o755)
    options = [
        f"Dir::Etc::sourcelist={private / 'sources.list'}",
        "Dir::Etc::sourceparts=/dev/null",
        "Dir::Etc::preferences=/dev/null",
        "Dir::Etc::preferencesparts=/dev/null",
        f"Dir::State={private}",
        f"Dir::State::lists={private / 'lists'}",
        f"Dir::State::status={private / 'status'}",
        f"Dir::Cache={private}",
        "APT::Install-Recommends=false",
        "APT::Sandbox::User=root",  # its own account may not reach the private folder
        "Acquire::Languages=none",
        "Acquire::Retries=2",
        "Acquire::http::Timeout=20",
    ]
    apt = ["apt-get", "-q", *(part for option in options for part in ("-o", option))]
    _update(apt, private / "sources.list")
    planned = _run(*apt, "--simulate", "install", "rabbitmq-server")
    names = [line.split()[1] for line in planned.splitlines() if line.startswith("Inst ")]
    wanted = [name for name in names if name.startswith(_WANTED) and not name.startswith(_UNWANTED)]
    _run(*apt, "download", *wanted, cwd=private)
    return sorted(private.glob("*.deb"))


def _update(apt: list[str], sources: Path) -> None:
    """Ask this machine's own mirrors for the suite, one after the other."""
    failed = "apt knows no mirror"
    for mirror in _mirrors():
        sources.write_text(f"deb [signed-by={_KEYRING}] {mirror} {_SUITE} main\n")
        try:
            _run(*apt, "-o", "APT::Update::Error-Mode=any", "update")
        except SetupError as error:
            failed = str(error)
        else:
            return
    raise SetupError(f"Debian 13's packages are not to be had: {failed}")


def _mirrors() -> Iterator[str]:
    columns = "$(RELEASE) $(COMPONENT) $(REPO_URI)"
    told = _run("apt-get", "indextargets", "--format", columns, "Created-By: Packages")
    seen = set()
    for line in told.splitlines():
        release, component, mirror = line.split(" ", 2)
        # The releases themselves, not their updates and security fixes, which have mirrors of their own.
        if component == "main" and "-" not in release and mirror not in seen:
            seen.add(mirror)
            yield mirror


def _make_runnable(unpacked: Path, *, final: Path) -> None:
    """Have every program run by the loader that came with it, and `erl` know where it is."""
    (loader,) = unpacked.glob("usr/lib/*/ld-linux-*.so.*")
    erlang = unpacked / "usr/lib/erlang"
    for program in [path for path in erlang.rglob("*") if path.parent.name == "bin" and _is_program(path)]:
        real = program.with_name(f"{program.name}.real")
        program.rename(real)
        moved_loader, moved_real = (final / path.relative_to(unpacked) for path in (loader, real))
        program.write_text(
            _PROGRAM.format(loader=moved_loader, libraries=moved_loader.parent, program=moved_real)
        )
        program.chmod(0o755)
    (programs,) = erlang.glob("erts-*/bin")
    moved_erlang, moved_programs = (final / path.relative_to(unpacked) for path in (erlang, programs))
    (erlang / "bin/erl").write_text(_ERL.format(root=moved_erlang, programs=moved_programs))


def _is_program(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _run(*command: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, text=True, cwd=cwd, timeout=_COMMAND_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{command[0]} took more than {_COMMAND_TIMEOUT_S} s.") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SetupError(f"{command[0]} failed: {said[-1] if said else done.returncode}")
    return done.stdout
