"""`python -m carillon.prove.zygote`: forks services off a process that has imported all of them.

`python -m email_service` takes two seconds until it works, most of them for imports; a fork takes a tenth of
one. What runs in it is the service's own `__main__`, with an environment of its own.
"""

import importlib
import os
import runpy
import selectors
import signal
import sys
import traceback
from pathlib import Path

import msgspec

from carillon.embedded.child import die_with_parent
from carillon.prove import poison
from carillon.prove.zygote_messages import Ended, Order, Started, Told
from carillon.services import SERVICES
from shared.process.importing import without_collecting

_IMPORTED_LATE = ("httpcore", "anyio._backends._asyncio", "sqlalchemy.dialects.postgresql.asyncpg")
"""By libraries, when they are first used: half of what a fork would have to do otherwise."""
_LONGEST_READ = 1 << 20


class Zygote:
    """Takes orders as lines of JSON on stdin, and tells what becomes of them on stdout. It has one thread and
    no event loop, as a process that forks must. To be made in the process that forks."""

    def __init__(self) -> None:
        self._die_with_us = die_with_parent(signal.SIGKILL)
        self._numbers: dict[int, int] = {}
        self._unread = b""
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)

    def run(self) -> None:
        """Until stdin is closed."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as ready:
            ready.register(sys.stdin.fileno(), selectors.EVENT_READ)
            ready.register(self._wake_read, selectors.EVENT_READ)
            while True:
                readable = {key.fd for key, _ in ready.select()}
                if self._wake_read in readable:
                    os.read(self._wake_read, _LONGEST_READ)
                    self._reap()
                if sys.stdin.fileno() in readable:
                    read = os.read(sys.stdin.fileno(), _LONGEST_READ)
                    if not read:
                        return
                    self._take(read)

    def _take(self, read: bytes) -> None:
        *lines, self._unread = (self._unread + read).split(b"\n")
        for line in lines:
            order = msgspec.json.decode(line, type=Order)
            pid = os.fork()
            if pid == 0:
                self._become(order)
            self._numbers[pid] = order.number
            _tell(Started(number=order.number, pid=pid))

    def _reap(self) -> None:
        while self._numbers:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            _tell(Ended(number=self._numbers.pop(pid), code=os.waitstatus_to_exitcode(status)))

    def _become(self, order: Order) -> None:
        """Does not return."""
        code = 1
        try:
            self._prepare(order)
            runpy.run_module(order.module, run_name="__main__")
            code = 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        except BaseException:  # whatever it is, the fork must not go on as the zygote
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _prepare(self, order: Order) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._wake_read)
        os.close(self._wake_write)
        os.setsid()
        self._die_with_us()
        nothing = os.open(os.devnull, os.O_RDONLY)
        output = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(order.environment)
        sys.argv = [order.module]
        if order.clock_offset_s:
            # With a library that only checkouts have.
            from carillon.prove import shifted_clock  # noqa: PLC0415

            shifted_clock.shift(order.clock_offset_s)
        if order.poisonable:
            poison.swallow()


def _tell(told: Told) -> None:
    os.write(sys.stdout.fileno(), msgspec.json.encode(told) + b"\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    with without_collecting():
        for service in SERVICES:
            importlib.import_module(f"{service.module}.main")
        for name in _IMPORTED_LATE:
            importlib.import_module(name)
    Zygote().run()
