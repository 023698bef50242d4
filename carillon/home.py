"""The state folder of an installation, `.carillon` in the checkout, or `CARILLON_HOME`."""

import fcntl
import hashlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO

from carillon.embedded.account import Account, account_for, identity
from carillon.setup_error import SetupError

CHECKOUT = Path(__file__).resolve().parent.parent
_SYSTEM_FOLDER = Path("/var/lib/carillon")
_LARGEST_LOG_BYTES = 5 * 1024 * 1024


class Home:
    """Where this installation keeps its secrets, its logs and its data. Nobody else can look into it."""

    def __init__(self, folder: Path | None = None) -> None:
        given = os.environ.get("CARILLON_HOME")
        self.folder = (folder or (Path(given) if given else CHECKOUT / ".carillon")).resolve()
        self._lock: IO[str] | None = None

    @property
    def run_record(self) -> Path:
        """What runs at the moment, as JSON."""
        return self.folder / "running.json"

    def open(self) -> None:
        """Make the folder. Raises SetupError where it cannot be written."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            for name in ("secrets", "logs"):
                (self.folder / name).mkdir(mode=0o700, exist_ok=True)
            probe = self.folder / "logs" / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise SetupError(
                f"The state folder {self.folder} cannot be written ({error.strerror}): "
                "make it writable, or name another one in CARILLON_HOME."
            ) from error

    def take(self) -> None:
        """Keep every other `carillon up` away until this process ends, however it ends.

        A lock of the kernel, which dies with its holder: it is never stale. Raises SetupError.
        """
        lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise SetupError(
                f"Carillon is running here already, as process {holder}: stop that one first."
            ) from error
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    @property
    def taken(self) -> bool:
        """Whether we are the ones who have taken it."""
        return self._lock is not None

    def release(self) -> None:
        """Let others in again."""
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    def running_pid(self) -> int | None:
        """The process that has taken this folder, or None."""
        try:
            with (self.folder / "lock").open("r+") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except OSError:
                    return int(lock.read().strip() or 0)
        except (OSError, ValueError):
            pass
        return None

    def secret_path(self, name: str) -> Path:
        """Where a secret lies, whether it is there or not."""
        return self.folder / "secrets" / name

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
        """A secret, made at the first time and the same ever after."""
        path = self.secret_path(name)
        if not path.exists():
            self.write_secret(name, make())
        return path.read_text()

    def write_secret(self, name: str, value: str) -> Path:
        """Keep a secret, readable by its owner alone; never half written."""
        path = self.secret_path(name)
        unfinished = path.with_name(f".{name}.unfinished")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as sink:
            sink.write(value)
            sink.flush()
            os.fsync(sink.fileno())
        unfinished.replace(path)
        return path

    def log_path(self, name: str) -> Path:
        """The log of an embedded server; begun anew where it has grown large."""
        path = self.folder / "logs" / f"{name}.log"
        if path.exists() and path.stat().st_size > _LARGEST_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path

    def postgres_folder(self) -> Path:
        """Where PostgreSQL keeps its data: in here, except for root.

        As root it runs under another account, which cannot look into this folder. Its data are beside it
        then, or below /var/lib/carillon where that account cannot reach the checkout (under /root, say).
        """
        account = account_for("postgres", "nobody")
        if account is None:
            return self.folder / "postgres"
        beside, system = self._folders_for_root()
        for folder in (beside, system):
            if folder.exists():
                return folder / "postgres"
        chosen = beside if _may_enter(self.folder.parent, account) else system
        try:
            chosen.mkdir(parents=True, mode=0o755)
            chosen.chmod(0o711)
        except OSError as error:
            raise SetupError(f"The database's folder {chosen} cannot be made: {error.strerror}.") from error
        return chosen / "postgres"

    def remove(self) -> None:
        """Everything: data, secrets, logs."""
        for folder in (*self._folders_for_root(), self.folder):
            shutil.rmtree(folder, ignore_errors=True)

    def _folders_for_root(self) -> tuple[Path, Path]:
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        return self.folder.with_name(f"{self.folder.name}-postgres"), _SYSTEM_FOLDER / digest


def _may_enter(folder: Path, account: Account) -> bool:
    # Asked of the kernel, under that account: modes alone do not tell.
    tried = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)],
        check=False,
        capture_output=True,
        cwd="/",
        **identity(account),
    )
    return tried.returncode == 0
