"""What is required of Carillon, beside what was measured. Nothing fails here: the table says met or not."""

from collections.abc import Callable, Sequence
from statistics import median

import msgspec

from carillon.bench.backlog import Backlog
from carillon.bench.end_to_end import EndToEnd
from carillon.bench.figures import Latency
from carillon.bench.idle import Idle

CARILLON, PIPELINE, RABBITMQ = "carillon", "pipeline", "rabbitmq"


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Carillon on RabbitMQ against the pipeline, medians of all runs: how many times as many mails a second,
    and how many times as much processor time the pipeline's processes use for each."""

    rate: float
    cpu: float


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A required figure and the measured one; `met` is None where nothing was measured. `goal` is what the
    design aims at beyond."""

    what: str
    required: str
    goal: str
    measured: str
    met: bool | None


def compared(runs: Sequence[EndToEnd]) -> Comparison | None:
    """None where one of the two was not measured, or sent nothing."""
    ours, theirs = _of(runs, CARILLON), _of(runs, PIPELINE)
    if not ours or not theirs or not _sent(theirs) or not _cpu(ours):
        return None
    return Comparison(rate=_sent(ours) / _sent(theirs), cpu=_cpu(theirs) / _cpu(ours))


def targets(
    *,
    end_to_end: Sequence[EndToEnd],
    paced: Sequence[EndToEnd],
    backlog: Sequence[Backlog],
    idle: Sequence[Idle],
) -> list[Target]:
    """Each of them. Of several measurements of one kind the worst counts; of mails a second the median."""
    ours, comparison = _of(end_to_end, CARILLON), compared(end_to_end)
    ends = [run.last_per_s / run.first_per_s for run in backlog if run.first_per_s]
    return [
        _target(
            "mails sent on RabbitMQ",
            _Bound("≥ 700/s", lambda value: value >= 700, goal="1500/s"),
            form="{:.0f}/s",
            value=_sent(ours) if ours else None,
        ),
        _target(
            "rate against the pipeline",
            _Bound("≥ 6 times", lambda value: value >= 6),
            form="{:.1f} times",
            value=comparison.rate if comparison else None,
        ),
        _target(
            "accept at an even pace, p99",
            _Bound("< 50 ms", lambda value: value < 50, goal="25 ms"),
            form="{:.1f} ms",
            value=max((run.accept.p99_ms for run in paced if run.accept), default=None),
        ),
        _target(
            "end of a drain against its start",
            _Bound("90-110 %", lambda value: 0.9 <= value <= 1.1),
            form="{:.0%}",
            value=max(ends, key=lambda end: abs(end - 1), default=None),
        ),
        _urgent("urgent while a backlog is accepted, p99", [run.urgent.filling for run in backlog]),
        _urgent("urgent while it drains, p99", [run.urgent.draining for run in backlog]),
        _target(
            "memory at the end of a drain",
            _Bound("≤ 110 %", lambda value: value <= 1.1),
            form="{:.0%}",
            value=max((run.memory.last_mb / run.memory.first_mb for run in backlog), default=None),
        ),
        _target(
            "idle, of one core",
            _Bound("< 2 %", lambda value: value < 2),
            form="{:.2f} %",
            value=max((run.together for run in idle), default=None),
        ),
    ]


def _urgent(what: str, measured: Sequence[Latency | None]) -> Target:
    return _target(
        what,
        _Bound("< 1 s", lambda value: value < 1000),
        form="{:.0f} ms",
        value=max((found.p99_ms for found in measured if found is not None), default=None),
    )


class _Bound:
    def __init__(self, words: str, holds: Callable[[float], bool], *, goal: str = "") -> None:
        self.words, self.holds, self.goal = words, holds, goal


def _target(what: str, bound: _Bound, *, form: str, value: float | None) -> Target:
    return Target(
        what=what,
        required=bound.words,
        goal=bound.goal,
        measured="-" if value is None else form.format(value),
        met=None if value is None else bound.holds(value),
    )


def _of(runs: Sequence[EndToEnd], system: str) -> list[EndToEnd]:
    return [run for run in runs if run.system == system and run.broker == RABBITMQ]


def _sent(runs: Sequence[EndToEnd]) -> float:
    return median(run.sent_per_s for run in runs)


def _cpu(runs: Sequence[EndToEnd]) -> float:
    return median(run.own_cpu_ms for run in runs)
