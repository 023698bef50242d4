"""promtool, which knows what Prometheus makes of rules: from the PATH, from Docker (the image that Compose
runs), or alone out of Debian's package, of which nothing is installed and nothing started.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from carillon.setup_error import SetupError
from tests.architecture.compose import parsed
from tests.rabbitmq_container import docker_answers

_TIMEOUT_S = 120
_PULL_TIMEOUT_S = 300
_MOUNTED_AT = "/rules"


class Promtool:
    """Looks at the files of one folder. Raises SetupError where this machine cannot have it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._command = self._found()

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """What it says; paths are those of the folder's files."""
        told = [
            str(self._place / argument.relative_to(self._folder)) if isinstance(argument, Path) else argument
            for argument in arguments
        ]
        return subprocess.run(
            [*self._command, *told], capture_output=True, check=False, text=True, timeout=_TIMEOUT_S
        )

    @property
    def _place(self) -> Path:
        return Path(_MOUNTED_AT) if self._command[0] == "docker" else self._folder

    def _found(self) -> list[str]:
        if (program := shutil.which("promtool")) is not None:
            return [program]
        if docker_answers():
            image = str(parsed("docker-compose.yml")["services"]["prometheus"]["image"])
            _run("docker", "pull", "--quiet", image, timeout_s=_PULL_TIMEOUT_S)
            mounted = f"{self._folder}:{_MOUNTED_AT}:ro"
            started = ["docker", "run", "--rm", "--network", "none", "--volume", mounted]
            return [*started, "--entrypoint", "promtool", image]
        return [str(_unpacked())]


def _unpacked() -> Path:
    """From Debian's package, at the first time: 20 MB to download."""
    parent = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    program = parent / "carillon-tests" / "promtool"
    if program.exists():
        return program
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SetupError("There is no promtool, and this is no Debian from whose packages it could come.")
    sys.stderr.write(f"\nUnpacking promtool from Debian's package into {program.parent}, for the tests.\n")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=program.parent) as unfinished:
        folder = Path(unfinished)
        try:
            _download(folder)
        except SetupError:
            # A machine that has never asked for the names of packages; only root may.
            _run("apt-get", "-q", "update", timeout_s=_TIMEOUT_S)
            _download(folder)
        (package,) = folder.glob("*.deb")
        archive = folder / "files.tar"
        with archive.open("wb") as file:
            subprocess.run(["dpkg-deb", "--fsys-tarfile", package], stdout=file, check=True)
        _run("tar", "-xf", str(archive), "-C", unfinished, "./usr/bin/promtool", timeout_s=_TIMEOUT_S)
        (folder / "usr/bin/promtool").rename(program)  # of two test runs both may
    return program


def _download(folder: Path) -> None:
    _run(
        "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "prometheus",
        timeout_s=_TIMEOUT_S,
        cwd=folder,
    )  # fmt: skip


def _run(*command: str, timeout_s: float, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, text=True, cwd=cwd, timeout=timeout_s
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{command[0]} took more than {timeout_s:g} s.") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SetupError(f"{command[0]} failed: {said[-1] if said else done.returncode}")
