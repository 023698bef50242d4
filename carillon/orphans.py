"""Processes of a former run whose supervisor was killed, and which have not ended yet.

On Linux the kernel tells them to end at once; a service then finishes what is in flight. Elsewhere they go
on. Each is known by its id and the time at which it started, so that a reused id is never taken for it.
"""

from collections.abc import Sequence

import msgspec
import psutil

PATIENCE_S = 25.0


class RunningProcess(msgspec.Struct, frozen=True):
    """A process as it was noted."""

    name: str
    pid: int
    started_at: float


def note(name: str, pid: int) -> RunningProcess | None:
    """What to remember of a process, or None where it is gone."""
    try:
        return RunningProcess(name=name, pid=pid, started_at=psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def end_orphans(noted: Sequence[RunningProcess]) -> list[str]:
    """Tell each to end, wait, and kill what does not; the names of those that were still there."""
    alive = [process for each in noted if (process := _same_process(each)) is not None]
    names = [each.name for each in noted if any(process.pid == each.pid for process in alive)]
    for process in alive:
        _signal(process, kill=False)
    _, stubborn = psutil.wait_procs(alive, timeout=PATIENCE_S)
    for process in stubborn:
        _signal(process, kill=True)
    psutil.wait_procs(stubborn, timeout=5)
    return names


def _same_process(noted: RunningProcess) -> psutil.Process | None:
    try:
        process = psutil.Process(noted.pid)
        return process if abs(process.create_time() - noted.started_at) < 1 else None
    except psutil.NoSuchProcess:
        return None


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return
