"""Fill .venv from requirements.lock, with nothing but Python 3.11 or newer present.

Uses the standard library only, and syntax that older versions read, so that they can say what is wrong.
How `uv` is come by, in this order: on the PATH; installed into .venv by pip, where pip is that of the
interpreter, that of its `ensurepip`, or Debian's package python3-pip-whl unpacked beside (without root and
without installing it); at last, as root on Debian, after `apt-get install python3-venv`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Mapping, NoReturn, Sequence, Union  # noqa: UP035 -- read by old versions, too

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
UV_LOCK = ROOT / "tools" / "uv.lock"
STAMP = VENV / ".filled-from"
OLDEST = (3, 11)
Part = Union[str, Path]  # noqa: UP007 -- as above


def main() -> None:
    """Make .venv agree with the lock; quick where it does already."""
    if sys.version_info < OLDEST:
        run_with_newer_python()
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted and works(PYTHON):
        return
    if not os.access(str(VENV if VENV.exists() else ROOT), os.W_OK):
        fail(f"{ROOT} cannot be written: make it writable, or work on a copy of your own.")
    say("Filling .venv; this takes a minute the first time.")
    try:
        if not works(PYTHON):
            make_venv()
        uv = find_uv() or install_uv()
        fill(uv)
    except OSError as error:
        fail(f".venv cannot be written: {error.strerror}.")
    STAMP.write_text(wanted)


def fingerprint() -> str:
    """Changes where .venv has to be filled again: the lock, the interpreter, or the place has changed."""
    digest = hashlib.sha256()
    for part in (LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes()):
        digest.update(part)
    digest.update(repr((sys.version_info[:2], str(ROOT))).encode())
    return digest.hexdigest()


def run_with_newer_python() -> None:
    """Go on under another interpreter of this machine; does not return."""
    for minor in range(20, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            os.execv(found, [found, *sys.argv])  # noqa: S606 -- no shell is wanted
    fail(
        f"Carillon needs Python 3.11 or newer, and this is {sys.version_info[0]}.{sys.version_info[1]}: "
        "name one with `make PYTHON=/path/to/python3 …`."
    )


def make_venv() -> None:
    """A virtual environment; without pip, because Debian's Python may have none to give it."""
    shutil.rmtree(VENV, ignore_errors=True)
    if not succeeds([sys.executable, "-m", "venv", "--without-pip", VENV]):
        fail("Python's module venv does not work here: install it (on Debian: apt-get install python3-venv).")


def find_uv() -> Path | None:
    """An `uv` that is there already, or None."""
    for candidate in (VENV / "bin" / "uv", shutil.which("uv")):
        if candidate and works(candidate):
            return Path(candidate)
    return None


def install_uv() -> Path:
    """Install `uv` into .venv by whatever pip there is."""
    for attempt in (with_own_pip, with_ensurepip, with_debian_wheel, with_apt):
        if attempt() and works(VENV / "bin" / "uv"):
            return VENV / "bin" / "uv"
    return fail(
        "Neither uv nor pip is to be had: install one of them (on Debian: apt-get install python3-venv), "
        "and see to it that the package index can be reached."
    )


def with_own_pip() -> bool:
    """The pip of the interpreter that runs this."""
    return succeeds([sys.executable, "-m", "pip", "--version"]) and pip_install(
        [sys.executable, "-m", "pip", "--python", PYTHON]
    )


def with_ensurepip() -> bool:
    """The pip that comes with Python, except on Debian."""
    return succeeds([PYTHON, "-m", "ensurepip"]) and pip_install([PYTHON, "-m", "pip"])


def with_debian_wheel() -> bool:
    """Debian's pip, unpacked into a temporary folder: no root needed, nothing installed."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    with tempfile.TemporaryDirectory(prefix="carillon-bootstrap-") as folder:
        wheel = unpack_debian_wheel(Path(folder))
        if wheel is None:
            return False
        return pip_install([PYTHON, "-m", "pip"], {"PYTHONPATH": str(wheel)})


def unpack_debian_wheel(folder: Path) -> Path | None:
    """Download python3-pip-whl; with package lists of our own where the system has none."""
    for sub in ("state/lists/partial", "cache/archives/partial", "debs"):
        (folder / sub).mkdir(parents=True)
    own_lists = [
        "-o", f"Dir::State={folder / 'state'}",
        "-o", "Dir::State::status=/var/lib/dpkg/status",
        "-o", f"Dir::Cache={folder / 'cache'}",
        "-o", "Debug::NoLocking=1",
        # As root apt would step down to an account that may not write here.
        "-o", "APT::Sandbox::User=",
    ]  # fmt: skip
    download = ["apt-get", "-q", "download", "python3-pip-whl"]
    got = succeeds(download, cwd=folder / "debs")
    if not got:
        say("Fetching Debian's package lists, to unpack pip from them.")
        got = succeeds(["apt-get", "-q", *own_lists, "update"]) and succeeds(
            [download[0], *own_lists, *download[1:]], cwd=folder / "debs"
        )
    packages = sorted((folder / "debs").glob("*.deb"))
    if not got or not packages or not succeeds(["dpkg-deb", "-x", packages[0], folder / "unpacked"]):
        return None
    wheels = sorted((folder / "unpacked").rglob("pip-*.whl"))
    return wheels[-1] if wheels else None


def with_apt() -> bool:
    """Debian's package with ensurepip, for root."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    say("Installing Debian's package python3-venv.")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "-q", "install", "-y", "--no-install-recommends", "python3-venv"]
    if not succeeds(install, environment=environment):
        succeeds(["apt-get", "-q", "update"], environment=environment)
        succeeds(install, environment=environment)
    return with_ensurepip()


def pip_install(pip: Sequence[Part], environment: Mapping[str, str] | None = None) -> bool:
    """Install uv with its hash checked."""
    command = [*pip, "install", "--quiet", "--require-hashes", "--no-deps", "-r", UV_LOCK]
    return succeeds(command, show_errors=True, environment=environment)


def fill(uv: Path) -> None:
    """Exactly what the lock names, each with its hash checked, and the project itself."""
    quiet: list[Part] = ["--quiet", "--python", PYTHON]
    # The lock is complete, so no package index needs to be asked for build tools afterwards.
    # Compiled once, here: where Python may not write what it has compiled (PYTHONDONTWRITEBYTECODE, a folder
    # of somebody else's) each process would compile all it imports anew, which is two seconds of each start.
    sync = [uv, "pip", "sync", *quiet, "--compile-bytecode", "--require-hashes", LOCK]
    if not succeeds(sync, show_errors=True):
        fail("The packages in requirements.lock could not be installed; uv says why above.")
    project = [uv, "pip", "install", *quiet, "--no-deps", "--no-build-isolation", "--editable", ROOT]
    if not succeeds(project, show_errors=True):
        fail("Carillon itself could not be installed into .venv; uv says why above.")


def works(program: Part) -> bool:
    """Whether a program runs at all: an interpreter that was upgraded away leaves a dangling link."""
    return Path(program).exists() and succeeds([program, "--version"])


def succeeds(
    command: Sequence[Part],
    cwd: Path = ROOT,
    *,
    show_errors: bool = False,
    environment: Mapping[str, str] | None = None,
) -> bool:
    """Run a command; whether it ended well."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=str(cwd),
            # Those of another environment that happens to be active would lead uv and pip astray.
            env={**clean_environment(), **(environment or {})},
            stdout=subprocess.DEVNULL,
            stderr=None if show_errors else subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def clean_environment() -> dict[str, str]:
    """Ours, without what points to another environment."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "CONDA_PREFIX", "__PYVENV_LAUNCHER__")
    }


def say(sentence: str) -> None:
    """Tell what is going on."""
    print(sentence, flush=True)


def fail(sentence: str) -> NoReturn:
    """Say what has to be put right, and end."""
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
