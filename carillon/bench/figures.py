"""Percentiles and rates."""

import math
from collections.abc import Sequence

import msgspec

NS = 1_000_000_000


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Of `count` measurements, in milliseconds."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest rank: the least value that at least `share` (0 to 1) of all do not exceed. `ordered` is
    ascending; raises ValueError where it is empty."""
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def latency(durations_ns: Sequence[int]) -> Latency | None:
    """None where nothing was measured."""
    if not durations_ns:
        return None
    ordered = sorted(each / 1e6 for each in durations_ns)
    return Latency(
        count=len(ordered),
        p50_ms=percentile(ordered, 0.50),
        p90_ms=percentile(ordered, 0.90),
        p99_ms=percentile(ordered, 0.99),
        max_ms=ordered[-1],
    )


def per_second(count: int, *, start_ns: int, end_ns: int) -> float:
    """`count` in that span; 0 where there is no span."""
    return count * NS / (end_ns - start_ns) if end_ns > start_ns else 0.0
