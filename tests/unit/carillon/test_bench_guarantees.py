"""What the guarantees cost: read from PostgreSQL's log and the services' metrics, and added up rightly."""

import io
from typing import Any

import pytest
from rich.console import Console

from carillon.bench.accounting import account
from carillon.bench.end_to_end import EndToEnd
from carillon.bench.groups import ACCEPTANCE, CLAIM, Groups, groups_between, totals
from carillon.bench.guarantees import summed_up
from carillon.bench.ladder import Climbed, Pace, Rung, pace_of
from carillon.bench.meter import Cost
from carillon.bench.report import Report, completed
from carillon.bench.storage import Storage
from carillon.bench.tables import print_report
from carillon.bench.wal import Written
from carillon.bench.wal import summed_up as written_in
from carillon.machine import describe_machine

MAILS = [str(number) for number in range(1000)]
NAMES = {
    "16384": ("email_db", {"100": "deliveries", "101": "deliveries"}),
    "16385": ("gateway_db", {"100": "outbox"}),
}


def record(manager: str, size: int, transaction: int, what: str, *relations: str) -> str:
    """A line of pg_waldump."""
    blocks = "".join(f", blkref #{n}: rel 1663/{each} blk 7" for n, each in enumerate(relations))
    return (
        f"rmgr: {manager:<11} len (rec/tot): {size:>6}/{size:>6}, tx: {transaction:>10}, lsn: 0/01A2B3C8, "
        f"prev 0/01A2B390, desc: {what}{blocks}\n"
    )


def test_bytes_belong_to_the_table_of_their_block_and_commits_to_the_database_of_their_transaction() -> None:
    lines = [
        record("Heap", 500, 7, "INSERT off: 5, flags: 0x00", "16384/100"),
        record("Heap", 70, 8, "DELETE xmax: 8", "16385/100"),
        record("Btree", 80, 7, "INSERT_LEAF off: 3", "16384/101"),
        record("Transaction", 34, 7, "COMMIT 2026-11-21 17:00:00 UTC"),
        record("Heap", 90, 9, "UPDATE old_xmax: 9", "16385/999", "16385/100"),
        record("Transaction", 34, 8, "COMMIT 2026-11-21 17:00:01 UTC"),
        record("Transaction", 30, 9, "ABORT 2026-11-21 17:00:02 UTC"),
        record("XLOG", 40, 0, "CHECKPOINT_ONLINE redo 0/1A2B390"),
        "pg_waldump: what is no record",
    ]
    found = written_in(lines, names=NAMES)
    assert found["email_db"] == Written(commits=1, wal_bytes=614, tables={"deliveries": 580, "commits": 34})
    assert found["gateway_db"] == Written(
        commits=1, wal_bytes=224, tables={"other": 90, "outbox": 70, "commits": 64}
    )
    assert found["other"] == Written(commits=0, wal_bytes=40, tables={"other": 40})


def exposed(*, groups: int, items: int, waited_s: float, seconds: float, name: str = CLAIM) -> str:
    """A process's /metrics."""
    return (
        "# TYPE carillon_group_commit_seconds histogram\n"
        f'carillon_group_commit_seconds_count{{group="{name}"}} {groups}\n'
        f'carillon_group_commit_seconds_sum{{group="{name}"}} {seconds}\n'
        "# TYPE carillon_group_commit_items histogram\n"
        f'carillon_group_commit_items_sum{{group="{name}"}} {items}\n'
        "# TYPE carillon_group_commit_waited_seconds counter\n"
        f'carillon_group_commit_waited_seconds_total{{group="{name}"}} {waited_s}\n'
    )


def test_a_mail_s_wait_is_the_mean_of_all_mails_since_the_start_and_in_all_processes() -> None:
    before = totals([exposed(groups=10, items=100, waited_s=1, seconds=0.5)])
    after = totals(
        [
            exposed(groups=14, items=130, waited_s=1.3, seconds=0.6),
            exposed(groups=1, items=10, waited_s=0.1, seconds=0.1),
            exposed(groups=0, items=0, waited_s=0, seconds=0, name=ACCEPTANCE),
        ]
    )
    (found,) = groups_between(before, after).items()
    assert found[0] == CLAIM
    assert found[1].count == 5
    assert (found[1].size, found[1].wait_ms, found[1].longest_ms) == pytest.approx((8.0, 10.0, 40.0))


def run(own_cpu_ms: float, **fields: Any) -> EndToEnd:
    """Of a thousand mails."""
    sizes = {ACCEPTANCE: 42.4, CLAIM: 9.3}
    usual: dict[str, Any] = {
        "system": "carillon", "broker": "rabbitmq", "sink": "bundled", "count": 1000, "rate": None,
        "account": account(asked=1000, accepted=MAILS, unanswered=0, arrived=MAILS),
        "accepted_per_s": 900.0, "sent_per_s": 700.0, "accept": None, "to_sink": None, "own": ["gateway"],
        "own_cpu_ms": own_cpu_ms, "own_memory_mb": 1.0,
        "cost": {"gateway": Cost(cpu_s=1, memory_mb=1), "postgres": Cost(cpu_s=0.3, memory_mb=1)},
        "elsewhere": 0.1, "load_cpu_s": 0.1,
        "storage": Storage(
            written={"email_db": Written(commits=300, wal_bytes=1_800_000, tables={"deliveries": 1_700_000})},
            cpu_s={"email_db": 0.1},
            groups={
                name: Groups(count=1, size=size, wait_ms=12.3, longest_ms=14) for name, size in sizes.items()
            },
        ),
    }  # fmt: skip
    return EndToEnd(**usual | fields)


def climbed(rung: Rung, own_cpu_ms: float, postgres_cpu_ms: float, *, arrived: str = "ab") -> Climbed:
    """A rung on which two mails were sent."""
    return Climbed(
        rung=rung,
        count=2,
        account=account(asked=2, accepted="ab", unanswered=0, arrived=arrived),
        per_s=700,
        own_cpu_ms=own_cpu_ms,
        postgres_cpu_ms=postgres_cpu_ms,
        commits=0,
        wal_bytes=0,
        groups={},
    )


LADDER = [climbed(Rung.BARE, 0.3, 0.01), climbed(Rung.LEDGER, 0.5, 0.15), climbed(Rung.GUARANTEED, 0.6, 0.26)]


def test_each_rung_s_price_is_what_it_adds_and_the_rest_is_the_way() -> None:
    found = summed_up([run(1.4), run(9.0), run(1.5)], LADDER)
    assert found is not None
    prices = (found.own_ms, found.mail_ms, found.ledger_ms, found.outbox_ms, found.rest_ms)
    assert prices == pytest.approx((1.5, 0.3, 0.2, 0.1, 0.9))
    assert found.guarantees_ms == pytest.approx(0.3)
    assert (found.postgres_ms, found.postgres_guarantees_ms) == pytest.approx((0.3, 0.25))
    assert (found.commits, found.wal_bytes) == pytest.approx((0.3, 1800))


def test_without_the_whole_ladder_there_is_no_price() -> None:
    assert summed_up([run(1.5)], LADDER[:2]) is None
    assert summed_up([], LADDER) is None


def test_the_ladder_keeps_the_pace_of_the_runs() -> None:
    assert pace_of([run(1.5, sent_per_s=rate) for rate in (1.0, 700.0, 800.0)]) == Pace(
        rate=700, accepted=42, sent=9
    )
    assert pace_of([]) is None
    assert pace_of([run(1.5, storage=Storage(written={}, cpu_s={}, groups={}))]) is None


def test_only_runs_of_the_transport_that_the_ladder_followed_are_in_the_price() -> None:
    runs = [run(1.5), run(7.0, broker="postgres"), run(14.0, system="pipeline")]
    found = completed(Report(machine=describe_machine({}), end_to_end=runs, ladder=LADDER))
    assert found.guarantees is not None
    assert (found.guarantees.broker, found.guarantees.own_ms) == ("rabbitmq", 1.5)
    told = io.StringIO()
    print_report(found, Console(file=told, width=80))
    text = " ".join(told.getvalue().split())
    for words in (
        "of 1.50 ms of our CPU for each mail, 0.30 ms (20%) are for them",
        "1.8 kB of WAL in 0.30 commits",
        "claimed before the call 9.3 12.3",
        "email_db 0.300 1800 0.100",
        "deliveries 1700",
        "rendered and handed over 0.300",
    ):
        assert words in text


def test_a_mail_that_is_lost_on_the_ladder_spoils_the_report() -> None:
    lost = [*LADDER[:2], climbed(Rung.GUARANTEED, 0.6, 0.26, arrived="a")]
    assert Report(machine=describe_machine({}), ladder=LADDER).is_whole
    assert not Report(machine=describe_machine({}), ladder=lost).is_whole
