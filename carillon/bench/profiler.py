"""Where the time goes: py-spy samples the gateway and the email service."""

import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

import msgspec

from carillon.bench.pipeline import prepare_environment
from carillon.embedded import child
from carillon.setup_error import SetupError

_PER_SECOND = "200"
_STOPS_WITHIN_S = 30.0
_TOP = 25
PROFILED = ("gateway", "email")


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A function, and which share of all samples it was in itself, or was anywhere on the stack."""

    name: str
    share: float


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The top lines of one process; `failure` is py-spy's own word where it has seen nothing."""

    process: str
    samples: int
    failure: str = ""
    in_itself: list[Line] = []
    with_below: list[Line] = []


class Profiler:
    """Samples while its body runs. Raises SetupError where there is no py-spy."""

    def __init__(self, pids: Mapping[str, int], *, folder: Path) -> None:
        self._pids, self._folder = pids, folder
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        program = shutil.which("py-spy") or str(prepare_environment().with_name("py-spy"))
        try:
            for name in PROFILED:
                self._running.append(self._sampling(program, name))
        except OSError as error:
            self._stop()
            raise SetupError(f"py-spy cannot be started ({error}).") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def profiles(self) -> list[Profile]:
        """What was seen, of each; or why nothing was."""
        return [
            read_profile(name, stacks=self._stacks(name), log=self._log(name), ended_with=process.returncode)
            for name, process in zip(PROFILED, self._running, strict=True)
        ]

    def _sampling(self, program: str, name: str) -> subprocess.Popen[bytes]:
        command = [program, "record", "--format", "raw", "--rate", _PER_SECOND, "--function", "--nonblocking"]
        return child.spawn(
            [*command, "--output", self._stacks(name), "--pid", str(self._pids[name])],
            log=self._log(name),
            death_signal=signal.SIGTERM,
        )

    def _stop(self) -> None:
        for process in self._running:
            child.stop(process, (signal.SIGINT, _STOPS_WITHIN_S))

    def _stacks(self, name: str) -> Path:
        return self._folder / f"{name}.stacks"

    def _log(self, name: str) -> Path:
        return self._folder / f"py-spy-{name}.log"


def read_profile(name: str, *, stacks: Path, log: Path, ended_with: int) -> Profile:
    """From what py-spy has left."""
    lines = stacks.read_text(errors="replace").splitlines() if stacks.exists() else []
    if lines:
        return summed_up(name, lines)
    why = child.last_words(log, marks=("Error: ", "Reason: "))
    return Profile(process=name, samples=0, failure=f"ended with {ended_with}: {why}")


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
