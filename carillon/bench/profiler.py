"""Where the time goes: py-spy samples the gateway and the email service."""

import contextlib
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from carillon.bench.pipeline import prepare_environment
from carillon.embedded import child

_PER_SECOND = "200"
_STOPS_WITHIN_S = 30.0
_TOP = 25
PROFILED = ("gateway", "email")


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A function, and which share of all samples it was in itself, or was anywhere on the stack."""

    name: str
    share: float


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The top lines of one process."""

    process: str
    samples: int
    in_itself: list[Line]
    with_below: list[Line]


class Profiler:
    """Samples from its making on until `end`."""

    def __init__(self, pids: Mapping[str, int], *, folder: Path) -> None:
        program = shutil.which("py-spy") or str(prepare_environment().with_name("py-spy"))
        self._running: list[tuple[str, Path, subprocess.Popen[bytes]]] = []
        for name in PROFILED:
            stacks = folder / f"{name}.stacks"
            command = [program, "record", "--format", "raw", "--rate", _PER_SECOND]
            command += ["--function", "--nonblocking"]
            process = child.spawn(
                [*command, "--output", stacks, "--pid", str(pids[name])],
                log=folder / "py-spy.log",
                death_signal=signal.SIGTERM,
            )
            self._running.append((name, stacks, process))

    def end(self) -> list[Profile]:
        """What was seen; nothing of a process that could not be sampled."""
        profiles = []
        for name, stacks, process in self._running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            child.stop(process, (signal.SIGINT, _STOPS_WITHIN_S))
            if stacks.exists():
                profiles.append(summed_up(name, stacks.read_text(errors="replace").splitlines()))
        return profiles


def summed_up(process: str, stacks: Iterable[str]) -> Profile:
    """`stacks` are collapsed: frames from the outermost, separated by semicolons, then the number of
    samples."""
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    samples = 0
    for line in stacks:
        path, _, number = line.rpartition(" ")
        frames = path.split(";")
        samples += int(number)
        own[frames[-1]] += int(number)
        for frame in set(frames):
            below[frame] += int(number)
    return Profile(
        process=process, samples=samples, in_itself=_top(own, samples), with_below=_top(below, samples)
    )


def _top(counted: Counter[str], samples: int) -> list[Line]:
    return [Line(name, number / samples) for name, number in counted.most_common(_TOP)]
