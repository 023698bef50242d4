"""A PostgreSQL server as our child, on the loopback interface, with a password.

Kept safe: `fsync`, `full_page_writes` and `synchronous_commit` stay on unless `durable=False` (tests).
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from carillon.embedded import child, ports
from carillon.embedded.account import Account, account_for, identity
from carillon.embedded.postgres_binaries import MAJOR_VERSION, find_binaries
from carillon.embedded.postmaster import clear_stale_postmaster
from carillon.setup_error import SetupError

USER = "carillon"
_START_TIMEOUT_S = 60.0
_FAST_SHUTDOWN = (signal.SIGINT, 20.0)
_IMMEDIATE_SHUTDOWN = (signal.SIGQUIT, 5.0)

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "jit": "off",
    # Workers of a parallel query want more of /dev/shm than a container usually has.
    "max_parallel_workers_per_gather": "0",
    # The detail of a refused row would put an address into the log.
    "log_error_verbosity": "terse",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
_UNSAFE_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class EmbeddedPostgres:
    """One server with its data in `data`, a folder that nothing else uses.

    As root it runs under the account `postgres` or `nobody`, and `data` must lie where that account can
    reach it. `port` is preferred, not required; after `start` the attribute holds the real one.
    """

    def __init__(
        self,
        *,
        data: Path,
        password: str,
        log: Path,
        port: int | None = None,
        durable: bool = True,
    ) -> None:
        self.data = data
        self.log = log
        self.port = port
        self._password = password
        self._durable = durable
        self._account: Account | None = None
        self._binaries: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's URL, with the maintenance database `postgres`."""
        return self.database_url("postgres")

    def database_url(self, database: str) -> str:
        """The URL of one database, whether it exists or not."""
        return f"postgresql://{USER}:{quote(self._password, safe='')}@127.0.0.1:{self.port}/{database}"

    @property
    def programs(self) -> Path:
        """The folder with PostgreSQL's own programs. Raises SetupError where it was never started."""
        if self._binaries is None:
            raise SetupError("PostgreSQL has not been started.")
        return self._binaries

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Create the data at the first time, clear away what a crash left, start, wait until it answers.

        Call it from the main thread, see `child.die_with_parent`. Raises SetupError.
        """
        self.spawn()
        self.wait_ready()

    def spawn(self) -> None:
        """The first half of `start`: the process is there, but may not answer yet."""
        self._account = account_for("postgres", "nobody")
        self._binaries = find_binaries(self._account, private_folder=self.data.parent)
        self._create_data()
        clear_stale_postmaster(self.data)
        self.port = ports.preferred(self.port)
        settings = _SETTINGS | {"port": str(self.port)} | ({} if self._durable else _UNSAFE_SETTINGS)
        command = [str(self._binaries / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        # SIGINT is PostgreSQL's fast shutdown: even when we are killed it ends in order, children included.
        self._process = child.spawn(
            command,
            log=self.log,
            death_signal=signal.SIGINT,
            account=self._account,
            environment=_environment(),
        )

    def wait_ready(self) -> None:
        """The second half of `start`; may run in any thread. Raises SetupError."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._says_ready():
            if self.pid is None:
                why = child.last_words(self.log, marks=("FATAL:", "PANIC:", "ERROR:"))
                raise SetupError(f"PostgreSQL did not start: {why} (log: {self.log})")
            if time.monotonic() > deadline:
                self.stop()
                raise SetupError(
                    f"PostgreSQL did not answer within {_START_TIMEOUT_S:.0f} s (log: {self.log})."
                )
            time.sleep(0.02)

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, everything committed is on disk."""
        if self._process is not None:
            child.stop(self._process, _FAST_SHUTDOWN, _IMMEDIATE_SHUTDOWN)
            self._process = None

    def kill(self) -> None:
        """kill -9, for tests of what survives it. Start again with `start`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def run_sql(self, statement: str, *, database: str = "postgres") -> str:
        """Run one statement through `psql`; what it answered as plain text. Raises CalledProcessError."""
        options = f"-XqAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p {self.port} -U {USER}".split()
        done = subprocess.run(
            [str(self.programs / "psql"), *options, "-d", database, "-c", statement],
            env=_environment() | {"PGPASSWORD": self._password},
            capture_output=True,
            check=True,
            text=True,
            cwd="/",
        )
        return done.stdout.strip()

    def _says_ready(self) -> bool:
        # The postmaster writes its state into the eighth line of its lock file (miscadmin.h).
        with contextlib.suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return len(lines) > 7 and lines[7].strip() == "ready" and lines[0] == str(self.pid)
        return False

    def _create_data(self) -> None:
        if (self.data / "PG_VERSION").exists():
            found = (self.data / "PG_VERSION").read_text().strip()
            if found != MAJOR_VERSION:
                raise SetupError(
                    f"The data in {self.data} are of PostgreSQL {found}, and this is {MAJOR_VERSION}: "
                    "dump them with the old version, or start afresh with `make clean`."
                )
            return
        # Created beside and renamed, so that an interrupted initdb is never taken for a database.
        unfinished = self.data.with_name(self.data.name + ".unfinished")
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True, mode=0o700)
            if self._account is not None:
                os.chown(unfinished, self._account.uid, self._account.gid)
            self._run_initdb(unfinished)
            unfinished.rename(self.data)
        except OSError as error:
            raise SetupError(f"No database can be created in {self.data}: {error.strerror}.") from error

    def _run_initdb(self, folder: Path) -> None:
        assert self._binaries is not None  # noqa: S101 -- set by spawn, for the type checker
        password_file = folder.with_name(folder.name + ".password")
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self._password + "\n")
        if self._account is not None:
            os.chown(password_file, self._account.uid, self._account.gid)
        options = f"-U {USER} -A scram-sha-256 -E UTF8 --no-instructions".split()
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command = [str(self._binaries / "initdb"), "-D", str(folder), *options, f"--pwfile={password_file}"]
        if not self._durable:
            command.append("--no-sync")
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                check=False,
                cwd="/",
                env=_environment(),
                start_new_session=True,  # Ctrl-C is ours to handle
                **identity(self._account),
            )
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            raise SetupError(
                f"No database can be created in {self.data}: {done.stderr.decode(errors='replace').strip()}"
            )


def _environment() -> dict[str, str]:
    """Ours, without the PG… variables of the person's shell, which would redirect psql and initdb."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
