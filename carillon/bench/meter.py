"""Processor time and memory of process trees."""

import contextlib
import time
from collections.abc import Iterable, Mapping

import msgspec
import psutil

from carillon.setup_error import SetupError

_QUIET_SHARE = 0.03
_QUIET_FOR_S = 0.5
_QUIET_WITHIN_S = 15.0


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Of one process and all below it. `memory_mb` is the proportional set size (PSS): what several
    processes share is counted once among them, so that the figures may be added up."""

    cpu_s: float
    memory_mb: float


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """`elsewhere` is how many cores everything else on the machine kept busy on average, the load generator
    and the kernel's own work included: above a few tenths, the figures say little."""

    cost: dict[str, Cost]
    elsewhere: float


class Meter:
    """Of several processes by name. `alone`: those whose children are counted by names of their own."""

    def __init__(self, pids: Mapping[str, int], *, alone: frozenset[str] = frozenset()) -> None:
        self._pids = dict(pids)
        self._alone = alone
        self.reset()

    def reset(self) -> None:
        """Count from now on."""
        self._before, self._machine_before, self._since = self._cpu(), _machine_seconds(), time.monotonic()

    def read(self) -> Reading:
        """Since the last reset; memory as it is now. Raises SetupError where one has ended meanwhile."""
        if gone := [name for name, pid in self._pids.items() if not psutil.pid_exists(pid)]:
            raise SetupError(f"Ended while it was measured: {', '.join(gone)}.")
        now, machine = self._cpu(), _machine_seconds() - self._machine_before
        spent = {name: now[name] - self._before[name] for name in self._pids}
        lasted = max(time.monotonic() - self._since, 0.001)
        cost = {name: Cost(cpu_s=spent[name], memory_mb=self.memory_mb([name])) for name in self._pids}
        return Reading(cost=cost, elsewhere=max(0.0, machine - sum(spent.values())) / lasted)

    def memory_mb(self, names: Iterable[str]) -> float:
        """Of these together, as it is now."""
        return sum(_memory_mb(self._pids[name], tree=name not in self._alone) for name in names)

    def wait_quiet(self) -> None:
        """Return once all together use next to nothing, so that what is done after the last mail (reports,
        receipts, statistics) is in the account; after 15 s at the latest."""
        deadline = time.monotonic() + _QUIET_WITHIN_S
        before = sum(self._cpu().values())
        while time.monotonic() < deadline:
            time.sleep(_QUIET_FOR_S)
            now = sum(self._cpu().values())
            if now - before < _QUIET_SHARE * _QUIET_FOR_S * len(self._pids):
                return
            before = now

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(pid, tree=name not in self._alone) for name, pid in self._pids.items()}


def cpu_seconds(pid: int, *, tree: bool = True) -> float:
    """User and system time of a process, of those below it, and of those below that have ended; 0 where it
    is gone itself. Without `tree` its own alone."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in _tree(pid) if tree else [psutil.Process(pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
                # Those that have ended and been waited for; they are no part of the living tree.
                total += times.children_user + times.children_system if tree else 0
    return total


def _memory_mb(pid: int, *, tree: bool) -> float:
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in _tree(pid) if tree else [psutil.Process(pid)]:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                memory = process.memory_full_info()
                # Only Linux tells a proportional share.
                total += getattr(memory, "pss", memory.rss) / 1e6
    return total


def _machine_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0) - getattr(times, "guest", 0))


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]
