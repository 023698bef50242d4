"""The mail sink that is measured against: Postfix's smtp-sink where it is installed, else the bundled one."""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from carillon.bench.journal import DumpJournal, Journal, SinkJournal
from carillon.embedded import child, ports
from carillon.embedded.account import account_for
from carillon.home import CHECKOUT
from carillon.setup_error import SetupError

_STARTS_WITHIN_S = 10.0
_BACKLOG = "512"
_MOST_CONNECTIONS = "512"


class SinkKind(StrEnum):
    """Which sinks there are."""

    BUNDLED = "bundled"
    POSTFIX = "smtp-sink"


@dataclass(frozen=True, kw_only=True)
class Sink:
    """A running one, and what it has taken."""

    name: str
    port: int
    pid: int
    journal: Journal

    def environment(self) -> Mapping[str, str]:
        """What points Carillon's email service at it."""
        return {"CARILLON_SMTP_HOST": "127.0.0.1", "CARILLON_SMTP_PORT": str(self.port)}


@contextlib.contextmanager
def running_sink(folder: Path, *, kind: SinkKind | None = None) -> Iterator[Sink]:
    """The one that is asked for, or the best there is. Raises SetupError."""
    port = ports.free_port()
    postfix = shutil.which("smtp-sink")
    if kind is SinkKind.POSTFIX and postfix is None:
        raise SetupError("There is no smtp-sink on the PATH: it comes with Debian's package postfix.")
    own = folder / "sink"
    own.mkdir(mode=0o755)
    if postfix is None or kind is SinkKind.BUNDLED:
        kind, record = SinkKind.BUNDLED, own / "journal"
        command = [sys.executable, "-m", "carillon.bench.sink", str(port), str(record)]
        journal: Journal = SinkJournal(record)
    else:
        kind, dump = SinkKind.POSTFIX, own / "mails"
        command = _postfix_command(postfix, port=port, dump=dump)
        journal = DumpJournal(dump)
    process = child.spawn(
        command, log=folder / "sink.log", death_signal=signal.SIGTERM, working_directory=CHECKOUT
    )
    try:
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while not ports.answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SetupError(f"The mail sink did not start (log: {folder / 'sink.log'}).")
            time.sleep(0.05)
        yield Sink(name=kind.value, port=port, pid=process.pid, journal=journal)
    finally:
        child.stop(process, (signal.SIGTERM, 2.0))


def _postfix_command(program: str, *, port: int, dump: Path) -> list[str]:
    account = account_for("nobody")
    user = []
    if account is not None:  # as root it insists on another account
        os.chown(dump.parent, account.uid, account.gid)
        user = ["-u", account.name]
    return [program, *user, "-m", _MOST_CONNECTIONS, "-D", str(dump), f"127.0.0.1:{port}", _BACKLOG]
