"""Times and rates of a history."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

import msgspec

from carillon.prove.witness.history import History
from carillon.prove.witness.verdict import Recovery


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """Those fields of a verdict that need no API; described there."""

    asks: int
    answers: dict[str, int]
    silences: dict[str, int]
    status_5xx: int
    server_errors: int
    p50_ms: float | None
    p99_ms: float | None
    refusal_p99_ms: float | None
    longest_503_ms: float | None
    accepted_per_s: float | None
    recovery_s: float | None
    recoveries: list[Recovery]


def measures(told: History) -> Measures:
    """All of them."""
    accepted_ms = [ask.ms for ask in told.asks if ask.status == 202 and ask.single]
    refused_ms = [ask.ms for ask in told.asks if ask.status in (429, 503)]
    answers = Counter(ask.status for ask in told.asks)
    recoveries = _recoveries(told)
    times = [each.s for each in recoveries if each.s is not None]
    return Measures(
        asks=told.asked,
        answers={str(status): count for status, count in sorted(answers.items())},
        silences=told.silences,
        status_5xx=sum(count for status, count in answers.items() if status >= 500),
        server_errors=sum(count for status, count in answers.items() if status >= 500 and status != 503),
        p50_ms=percentile(accepted_ms, 0.50),
        p99_ms=percentile(accepted_ms, 0.99),
        refusal_p99_ms=percentile(refused_ms, 0.99),
        longest_503_ms=max((ask.ms for ask in told.asks if ask.status == 503), default=None),
        accepted_per_s=_accepted_per_s(told),
        recovery_s=max(times) if times and len(times) == len(recoveries) else None,
        recoveries=recoveries,
    )


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest rank: the least value that at least `share` (0 to 1) of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _accepted_per_s(told: History) -> float | None:
    times = [story.accepted_t for story in told.stories.values() if story.accepted_t is not None]
    if not times or told.first_t is None or max(times) <= told.first_t:
        return None
    return round(len(times) / (max(times) - told.first_t), 1)


def _recoveries(told: History) -> list[Recovery]:
    accepted_times = sorted(ask.t for ask in told.asks if ask.status == 202)
    found = []
    for fault in told.faults_ended:
        first = [_first_after(times, fault.t) for times in (accepted_times, told.effect_times)]
        seconds = [t - fault.t for t in first if t is not None]
        found.append(Recovery(fault.name, round(max(seconds), 3) if len(seconds) == 2 else None))
    return found


def _first_after(ordered: Sequence[float], t: float) -> float | None:
    place = bisect_right(ordered, t)
    return ordered[place] if place < len(ordered) else None
