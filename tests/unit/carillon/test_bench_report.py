"""What counts as lost, what as met, and the report that says so."""

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from carillon.bench.accept import Accepting
from carillon.bench.accounting import Account, account
from carillon.bench.backlog import Backlog, Memory, Urgent
from carillon.bench.command import chosen_parts
from carillon.bench.end_to_end import EndToEnd
from carillon.bench.figures import Latency
from carillon.bench.idle import Idle
from carillon.bench.meter import Cost
from carillon.bench.profiler import Profile, summed_up
from carillon.bench.programme import Part
from carillon.bench.report import Report, completed
from carillon.bench.storage import Storage
from carillon.bench.tables import print_report
from carillon.machine import describe_machine

WHOLE = Account(asked=2, accepted=2, refused=0, unanswered=0, arrived=2, lost=0, duplicates=0, unexpected=0)


def accounted(accepted: str, arrived: str, *, asked: int = 3, unanswered: int = 0) -> Account:
    """Each letter is a notification."""
    return account(asked=asked, accepted=accepted, unanswered=unanswered, arrived=arrived)


def test_what_arrived_once_is_whole() -> None:
    assert accounted("abc", "cab").is_whole


@pytest.mark.parametrize(
    ("accepted", "arrived", "unanswered", "field", "number"),
    [
        ("abc", "ab", 0, "lost", 1),
        ("abc", "abcca", 0, "duplicates", 2),
        ("abc", "abcx", 0, "unexpected", 1),
        ("ab", "ab", 0, "refused", 1),
        ("ab", "ab", 1, "unanswered", 1),
        ("abc", "", 0, "lost", 3),
    ],
)
def test_whatever_is_amiss_is_counted_and_nothing_is_whole(
    accepted: str, arrived: str, unanswered: int, field: str, number: int
) -> None:
    found = accounted(accepted, arrived, unanswered=unanswered)
    assert getattr(found, field) == number
    assert not found.is_whole


def latency(p99_ms: float) -> Latency:
    """With that 99th percentile."""
    return Latency(count=2, p50_ms=1, p90_ms=2, p99_ms=p99_ms, max_ms=p99_ms)


def run(**fields: Any) -> EndToEnd:
    """A run in which all went well."""
    usual: dict[str, Any] = {
        "system": "carillon",
        "broker": "rabbitmq",
        "sink": "bundled",
        "count": 2,
        "rate": None,
        "account": WHOLE,
        "accepted_per_s": 900.0,
        "sent_per_s": 700.0,
        "accept": latency(49.9),
        "to_sink": latency(100),
        "own": ["gateway"],
        "own_cpu_ms": 1.0,
        "own_memory_mb": 300.0,
        "cost": {"gateway": Cost(cpu_s=1, memory_mb=300), "postgres": Cost(cpu_s=1, memory_mb=100)},
        "elsewhere": 0.1,
        "load_cpu_s": 0.1,
        "storage": Storage(written={}, cpu_s={}, groups={}),
    }
    return EndToEnd(**usual | fields)


def drained(**fields: Any) -> Backlog:
    """A backlog that drained evenly."""
    usual: dict[str, Any] = {
        "broker": "rabbitmq",
        "count": 2,
        "account": WHOLE,
        "accepted_per_s": 9000.0,
        "waiting": 2,
        "drain_per_s": 700.0,
        "first_per_s": 700.0,
        "last_per_s": 700.0,
        "urgent": Urgent(filling=latency(999), draining=latency(998)),
        "memory": Memory(first_mb=300, last_mb=300, most_mb=300),
        "elsewhere": 0.1,
    }
    return Backlog(**usual | fields)


def report(**fields: Any) -> Report:
    """Of this machine."""
    return completed(Report(machine=describe_machine({"postgresql": "18"}), **fields))


def verdicts(**fields: Any) -> dict[str, bool | None]:
    """Whether each target was met."""
    return {target.what: target.met for target in report(**fields).targets}


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert set(verdicts().values()) == {None}


@pytest.mark.parametrize(
    ("what", "good", "bad"),
    [
        (
            "mails sent on RabbitMQ",
            {"end_to_end": [run(sent_per_s=700.0)]},
            {"end_to_end": [run(sent_per_s=699.0)]},
        ),
        (
            "rate against the pipeline",
            {"end_to_end": [run(), run(system="pipeline", sent_per_s=116.0)]},
            {"end_to_end": [run(), run(system="pipeline", sent_per_s=117.0)]},
        ),
        (
            "accept at an even pace, p99",
            {"paced": [run(accept=latency(49.9))]},
            {"paced": [run(accept=latency(50.0))]},
        ),
        (
            "end of a drain against its start",
            {"backlog": [drained(last_per_s=640.0)]},
            {"backlog": [drained(), drained(last_per_s=620.0)]},
        ),
        (
            "urgent while a backlog is accepted, p99",
            {"backlog": [drained()]},
            {"backlog": [drained(), drained(urgent=Urgent(filling=latency(1000), draining=latency(1)))]},
        ),
        (
            "urgent while it drains, p99",
            {"backlog": [drained()]},
            {"backlog": [drained(), drained(urgent=Urgent(filling=latency(1), draining=latency(1000)))]},
        ),
        (
            "memory at the end of a drain",
            {"backlog": [drained()]},
            {"backlog": [drained(memory=Memory(first_mb=300, last_mb=340, most_mb=340))]},
        ),
        (
            "idle, of one core",
            {"idle": [Idle(broker="rabbitmq", seconds=30, share={"gateway": 1.9, "sink": 5})]},
            {"idle": [Idle(broker="rabbitmq", seconds=30, share={"gateway": 1.9, "postgres": 0.1})]},
        ),
    ],
)
def test_a_target_is_met_up_to_its_bound(what: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert verdicts(**good)[what] is True
    assert verdicts(**bad)[what] is False


def test_only_what_was_sent_on_rabbitmq_is_compared_and_by_the_median() -> None:
    runs = [run(sent_per_s=rate) for rate in (100.0, 800.0, 900.0)]
    runs += [
        run(broker="postgres", sent_per_s=5000.0),
        run(system="pipeline", sent_per_s=100.0, own_cpu_ms=20.0),
    ]
    found = report(end_to_end=runs).comparison
    assert found is not None
    assert (found.rate, found.cpu) == (8, 20)


LOST = accounted("abc", "ab")


@pytest.mark.parametrize(
    "fields",
    [
        {"end_to_end": [run(), run(account=LOST)]},
        {"end_to_end": [run(system="pipeline", account=LOST)]},
        {"paced": [run(account=LOST)]},
        {"backlog": [drained(account=LOST)]},
        {"profiled": [run(account=LOST)]},
        {
            "accept": [
                Accepting(
                    connections=1, requests=3, batch=1, count=3, accepted=3, stored=2,
                    per_s=1, latency=None, own_cpu_ms=1, cost={},
                )
            ]
        },
    ],
)  # fmt: skip
def test_a_loss_anywhere_spoils_the_whole_report(fields: dict[str, Any]) -> None:
    assert report(end_to_end=[run()]).is_whole
    assert not report(**fields).is_whole


def test_a_run_beside_other_work_is_called_disturbed() -> None:
    assert not report(end_to_end=[run()], paced=[run()]).is_disturbed
    assert report(end_to_end=[run(), run(system="pipeline", elsewhere=1.2)]).is_disturbed
    assert report(paced=[run(elsewhere=0.5)]).is_disturbed
    assert report(backlog=[drained(elsewhere=0.5)]).is_disturbed


def test_the_report_survives_its_file_and_is_told_in_full() -> None:
    stacks = ["main;work 3", "main;work;wait 1"]
    whole = report(
        end_to_end=[run(), run(broker="postgres"), run(system="pipeline", sent_per_s=100.0)],
        paced=[run(rate=500.0)],
        backlog=[drained()],
        idle=[Idle(broker="rabbitmq", seconds=30, share={"gateway": 1.9})],
        accept=[
            Accepting(
                connections=61,
                requests=62,
                batch=1000,
                count=62_000,
                accepted=62_000,
                stored=62_000,
                per_s=11_000,
                latency=latency(5),
                own_cpu_ms=0.1,
                cost={},
            )
        ],
        profiled=[run(count=4321)],
        profiles=[summed_up("gateway", stacks), Profile(process="email", samples=0, failure="[Errno] 1")],
    )
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Report) == whole
    told = io.StringIO()
    print_report(whole, Console(file=told, width=80))
    text = " ".join(told.getvalue().split())
    for words in (
        "on postgres",
        "500/s",
        "A backlog of 2",
        "1.0 / 999.0 (of 2)",
        "1.0 / 998.0 (of 2)",
        "urgent while a backlog is",
        "urgent while it drains",
        "61 62 1000 11000",
        "4321",
        "py-spy has seen nothing of email: [Errno] 1",
        "Idle on",
        "7.0 times",
        "not ours",
        "met",
        "work",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("only", "backlog", "idle", "parts"),
    [
        ([], False, False, {Part.ACCEPT, Part.END_TO_END, Part.PACED}),
        ([Part.PACED], False, False, {Part.PACED}),
        ([], True, False, {Part.BACKLOG}),
        ([], True, True, {Part.BACKLOG, Part.IDLE}),
        ([Part.END_TO_END], False, True, {Part.END_TO_END, Part.IDLE}),
    ],
)
def test_only_what_is_named_is_measured(
    only: list[Part], backlog: bool, idle: bool, parts: set[Part]
) -> None:
    assert chosen_parts(only, backlog=backlog, idle=idle) == parts
