"""A disk of few bytes, to be filled up: a tmpfs, which takes root on Linux to mount."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from carillon.embedded.account import Account
from carillon.setup_error import SetupError

_FILLER = ".filler"
_PIECE = bytes(1 << 20)
_WITHIN_S = 10.0
# Reads until all that could write to it are gone, and then takes the disk away from whoever still uses it.
_WHEN_WE_ARE_GONE = 'cat; exec umount -l -- "$1"'


class SmallDisk:
    """Mounted at `folder`, and the property of an account. See `small_disk`."""

    def __init__(self, folder: Path, *, owner: tuple[int, int]) -> None:
        self.folder = folder
        self._filler = folder / _FILLER
        self._owner = owner

    @property
    def free_bytes(self) -> int:
        """What new files can take."""
        state = os.statvfs(self.folder)
        return state.f_bavail * state.f_frsize

    def fill(self) -> int:
        """Take the last byte; how many were taken. Files that stand may have room in their last page (4 KiB).
        Does so again where something has become free since."""
        taken = 0
        descriptor = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            # PostgreSQL syncs all that it finds in its folder after a crash.
            os.fchown(descriptor, *self._owner)
            while written := os.write(descriptor, _PIECE):
                taken += written
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            os.close(descriptor)
        return taken

    def free(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink(missing_ok=True)

    @contextlib.contextmanager
    def filled(self) -> Iterator[None]:
        """No byte is free at the beginning, and all are given back at the end."""
        try:
            self.fill()
            yield
        finally:
            self.free()


def available() -> str | None:
    """Why there can be none here, as a sentence; None where there can. Tried, because being root is not
    enough in many containers."""
    if sys.platform != "linux":
        return "A disk that can be filled up takes Linux."
    if os.geteuid() != 0:
        return "A disk that can be filled up takes root, to mount a tmpfs."
    if shutil.which("mount") is None or shutil.which("umount") is None:
        return "A disk that can be filled up takes mount(8)."
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder), size=1 << 16):
                return None
        except SetupError as error:
            return str(error)


@contextlib.contextmanager
def small_disk(folder: Path, *, size: int, account: Account | None = None) -> Iterator[SmallDisk]:
    """A tmpfs of `size` bytes at `folder`, which exists and is empty, for `account` alone (else for us).

    Unmounted at the end, from under whoever still uses it, and also where this process is killed. What it
    held is gone then. Raises SetupError.
    """
    owner = (os.geteuid(), os.getegid()) if account is None else (account.uid, account.gid)
    if any(folder.iterdir()):
        raise SetupError(f"The folder {folder} is not empty: nothing is to be hidden by a mount.")
    with _guarded(folder.resolve()) as place:
        options = f"size={size},mode=0700,uid={owner[0]},gid={owner[1]},nosuid,nodev"
        done = _run("mount", "-t", "tmpfs", "-o", options, "carillon", place)
        if done.returncode != 0:
            why = done.stderr.decode(errors="replace").strip().partition("\n")[0]
            raise SetupError(f"No tmpfs can be mounted at {place}: {why}")
        try:
            yield SmallDisk(folder, owner=owner)
        finally:
            if _run("umount", "--", place).returncode != 0:
                _run("umount", "-l", "--", place)


@contextlib.contextmanager
def _guarded(folder: Path) -> Iterator[str]:
    """A process that outlives us, and unmounts then. It hears of our end by the pipe, which the system
    closes; in a session of its own, so that Ctrl-C does not reach it."""
    with subprocess.Popen(
        ["/bin/sh", "-c", _WHEN_WE_ARE_GONE, "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    ) as guard:
        try:
            yield str(folder)
        finally:
            guard.kill()


def _run(*command: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            command, capture_output=True, check=False, cwd="/", timeout=_WITHIN_S, start_new_session=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, b"", str(error).encode())
