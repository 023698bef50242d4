"""`carillon failed` on a real terminal: questions, progress, and Ctrl-C."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.architecture.source import ROOT
from tests.fakes.failed import FakeFailed, serving
from tests.fakes.failures import CAUSE, a_failure, a_job

WITHIN_S = 60.0
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


@dataclass
class Terminal:
    """A process behind a terminal of eighty columns, and all that it has written."""

    process: subprocess.Popen[bytes]
    descriptor: int
    text: str = ""

    def read_until(self, words: str) -> None:
        """Raises AssertionError where they do not come."""
        deadline = time.monotonic() + WITHIN_S
        while words not in CONTROL.sub("", self.text):
            assert time.monotonic() < deadline, self.text
            self._read()

    def type(self, keys: str) -> None:
        """As a person does."""
        os.write(self.descriptor, keys.encode())

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def ending(self) -> int:
        """The exit code, once all is read."""
        deadline = time.monotonic() + WITHIN_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.text
            self._read()
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        if select.select([self.descriptor], [], [], 0.05)[0]:
            try:
                self.text += os.read(self.descriptor, 65536).decode(errors="replace")
            except OSError:
                return


@contextmanager
def terminal(api: FakeFailed, *arguments: str) -> Iterator[Terminal]:
    """Runs the command; killed in the end if need be."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CARILLON_")}
    ours, theirs = pty.openpty()
    # Where the tests run in the background of a shell, Ctrl-C is ignored, and that would be inherited.
    heeded = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "carillon", "failed", *arguments],
        cwd=ROOT,
        env=inherited
        | {"CARILLON_URL": api.url, "CARILLON_API_KEY": "ck_live_x", "TERM": "xterm", "COLUMNS": "80"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    signal.signal(signal.SIGINT, heeded)
    os.close(theirs)
    try:
        yield Terminal(process=process, descriptor=ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture
def api() -> Iterator[FakeFailed]:
    """With a job that does not end."""
    running = a_job(status="running", released=5, sent=3, in_flight=2, total=9)
    with serving(FakeFailed(failures=[a_failure() for _ in range(9)], steps=[running])) as state:
        yield state


def started(api: FakeFailed) -> int:
    """How many jobs."""
    return sum(not body["dry_run"] for body in api.bodies("POST /failed/reprocess"))


def test_yes_starts_the_job_and_ctrl_c_leaves_it_running(api: FakeFailed) -> None:
    with terminal(api, "reprocess", "--cause", CAUSE) as screen:
        screen.read_until("9  would be sent again")
        screen.read_until("[y/N]")
        assert started(api) == 0
        screen.type("y\n")
        screen.read_until("3/9")
        screen.interrupt()
        screen.read_until("carillon failed cancel")
        assert screen.ending() == 130
    assert started(api) == 1
    assert "--follow" in screen.text
    assert "Traceback" not in screen.text
    assert [what for what, _ in api.asked if what.endswith("/cancel")] == []


def test_ctrl_c_at_the_question_sends_nothing(api: FakeFailed) -> None:
    with terminal(api, "reprocess", "--cause", CAUSE) as screen:
        screen.read_until("[y/N]")
        screen.interrupt()
        assert screen.ending() == 130
    assert started(api) == 0
    assert "Traceback" not in screen.text
