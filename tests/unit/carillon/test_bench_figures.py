"""Percentiles, rates, the schedule of an open loop, and what a drain comes to."""

import pytest

from carillon.bench.backlog import in_phases, summed_up, tenths
from carillon.bench.figures import NS, latency, per_second, percentile
from carillon.bench.journal import Arrival
from carillon.bench.load_plan import Answer, LoadResult, due_times

MS = NS // 1000


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [
        (100, 0.99, 99),
        (100, 0.5, 50),
        (1000, 0.99, 990),
        (1, 0.99, 1),
        (2, 0.5, 1),
        (10, 1.0, 10),
        (10, 0, 1),
    ],
)
def test_a_percentile_is_the_nearest_rank(count: int, share: float, expected: float) -> None:
    assert percentile(range(1, count + 1), share) == expected


def test_no_values_have_no_percentile() -> None:
    assert latency([]) is None
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_latencies_are_told_in_milliseconds_whatever_their_order() -> None:
    found = latency([3 * MS, 1 * MS, 2 * MS])
    assert found is not None
    assert (found.count, found.p50_ms, found.p99_ms, found.max_ms) == (3, 2.0, 3.0, 3.0)


def test_a_rate_without_a_span_is_none() -> None:
    assert per_second(10, start_ns=5, end_ns=5) == 0
    assert per_second(10, start_ns=0, end_ns=2 * NS) == 5


def test_an_open_loop_is_even_to_its_end() -> None:
    due = due_times(1001, rate=500, start_ns=7)
    assert (due[0], due[1], due[-1]) == (7, 7 + 2 * MS, 7 + 2 * NS)


def test_a_rate_that_does_not_divide_a_second_does_not_drift() -> None:
    assert due_times(300_001, rate=3, start_ns=0)[-1] == 100_000 * NS


def test_latency_counts_from_when_a_request_was_due_and_not_from_when_it_could_be_sent() -> None:
    late = Answer(number=0, due_ns=0, sent_ns=90 * MS, done_ns=100 * MS, status=202, ids=["a"])
    unanswered = Answer(number=1, due_ns=0, sent_ns=1, done_ns=2, status=0, ids=[])
    result = LoadResult(started_ns=0, ended_ns=NS, cpu_s=0, answers=[late, unanswered])
    assert result.latencies_ns() == [100 * MS]


def test_the_ends_of_a_drain_are_compared_by_their_tenths() -> None:
    fast = [number * MS for number in range(500)]
    slow = [fast[-1] + number * 4 * MS for number in range(1, 501)]
    first, last = tenths(fast + slow)
    assert first == pytest.approx(1000)
    assert last == pytest.approx(250)


def test_a_drain_of_next_to_nothing_has_no_rate() -> None:
    assert tenths([]) == (0, 0)
    assert tenths([5]) == (0, 0)


def test_memory_that_grows_is_seen() -> None:
    memory = summed_up([100.0] * 10 + [150.0] * 5 + [140.0] * 5)
    assert (memory.first_mb, memory.last_mb, memory.most_mb) == (100, 140, 150)


def test_urgent_messages_are_told_by_the_phase_in_which_they_were_due() -> None:
    started_ns, whole_ns = 10 * NS, 20 * NS
    due_ns = {"before": 9 * NS, "first": 10 * NS, "last": 20 * NS - 1, "drain": 20 * NS, "lost": 21 * NS}
    answers = [
        Answer(number=number, due_ns=at_ns, sent_ns=at_ns, done_ns=at_ns, status=202, ids=[name])
        for number, (name, at_ns) in enumerate(due_ns.items())
    ]
    urgent = LoadResult(started_ns=9 * NS, ended_ns=30 * NS, cpu_s=0, answers=answers)
    took_ms = {"before": 1, "first": 2, "last": 3000, "drain": 4}
    arrivals = [Arrival(due_ns[name] + took * MS, name) for name, took in took_ms.items()]
    arrivals.append(Arrival(15 * NS, "one of the backlog"))
    found = in_phases(urgent, arrivals, start_ns=started_ns, whole_ns=whole_ns)
    assert found.filling is not None
    assert found.draining is not None
    assert (found.filling.count, found.filling.p50_ms, found.filling.max_ms) == (2, 2, 3000)
    assert (found.draining.count, found.draining.max_ms) == (1, 4)


def test_a_phase_in_which_nothing_urgent_was_due_has_no_latency() -> None:
    nothing = LoadResult(started_ns=0, ended_ns=1, cpu_s=0, answers=[])
    found = in_phases(nothing, [Arrival(1, "a")], start_ns=0, whole_ns=1)
    assert (found.filling, found.draining) == (None, None)
