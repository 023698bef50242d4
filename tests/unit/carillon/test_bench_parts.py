"""How much is sent when accepting alone is measured, what went unanswered, and what py-spy has seen."""

from pathlib import Path

import pytest

from carillon.bench.accept import loads
from carillon.bench.generator import Load
from carillon.bench.load_plan import Answer, LoadResult
from carillon.bench.profiler import read_profile, summed_up


def test_a_profile_counts_a_recursive_function_once_for_each_sample() -> None:
    profile = summed_up("gateway", ["a;b;a 3", "a;c 1"])
    assert profile.samples == 4
    assert {line.name: line.share for line in profile.in_itself} == {"a": 0.75, "c": 0.25}
    assert {line.name: line.share for line in profile.with_below} == {"a": 1.0, "b": 0.75, "c": 0.25}


def test_where_py_spy_fails_its_reason_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Error: Permission denied\n")
    found = read_profile("gateway", stacks=tmp_path / "none", log=log, ended_with=1)
    assert (found.samples, found.failure) == (0, "ended with 1: Permission denied")


def test_what_py_spy_has_seen_is_read(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks"
    stacks.write_text("a;b 3\n")
    found = read_profile("gateway", stacks=stacks, log=tmp_path / "none", ended_with=0)
    assert (found.samples, found.failure) == (3, "")


def test_accepting_is_tried_on_one_connection_and_on_64_singly_and_in_batches() -> None:
    assert [(load.connections, load.batch, load.requests) for load in loads(10_000)] == [
        (1, 1, 2000),
        (64, 1, 10_000),
        (1, 1000, 20),
        (64, 1000, 192),
    ]


@pytest.mark.parametrize("count", [1, 63, 200, 1234, 5000, 1_000_000])
def test_no_connection_is_idle_no_batch_is_short_and_none_goes_on_for_long(count: int) -> None:
    for load in loads(count):
        assert load.requests >= load.connections
        assert load.count == load.requests * load.batch
    assert loads(count)[-1].count <= 250_000


@pytest.mark.parametrize(
    ("broken", "unanswered"), [([], 0), ([0], 1000), ([2], 500), ([0, 2], 1500)], ids=str
)
def test_an_unanswered_batch_counts_as_what_was_in_it(broken: list[int], unanswered: int) -> None:
    answers = [
        Answer(number=number, due_ns=0, sent_ns=0, done_ns=1, status=0 if number in broken else 202, ids=[])
        for number in (1, 2, 0)
    ]
    result = LoadResult(started_ns=0, ended_ns=1, cpu_s=0, answers=answers)
    assert Load(count=2500, batch=1000).unanswered(result) == unanswered
