"""Child processes that do not outlive us, not even when we are killed with -9."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from carillon.embedded.account import Account, identity

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` that has the kernel send `death_signal` when the thread that spawned us ends.

    Linux only (prctl(2), PR_SET_PDEATHSIG); elsewhere an orphan is found and stopped at the next start.
    Spawn from the main thread: the signal follows the thread, not the process.
    """
    parent = os.getpid()

    def arrange() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before prctl took hold
            os.kill(os.getpid(), death_signal)

    return arrange


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    death_signal: signal.Signals,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    working_directory: Path = Path("/"),
    stdin: bytes = b"",
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, so that Ctrl-C reaches us alone and we choose the order.

    Its output is appended to `log`; `stdin` is fed to it. Raises OSError where it cannot be started.
    """
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=working_directory,
            env=None if environment is None else dict(environment),
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),  # noqa: PLW1509 -- prctl can be called nowhere else
            **identity(account),
        )
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(stdin)
            process.stdin.close()
    return process


def stop(process: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]) -> None:
    """Send each signal in turn and wait that many seconds for the end; then kill it, and all of its group."""
    for step, grace_s in steps:
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(step)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    process.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def last_words(log: Path, *, marks: Sequence[str]) -> str:
    """The last line of `log` that holds one of `marks`, for a sentence that says why a server ended."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "it left no log"
    for line in reversed(lines[-200:]):
        for mark in marks:
            if mark in line:
                return line[line.index(mark) + len(mark) :].strip()
    return lines[-1].strip() if lines else "it left no log"
