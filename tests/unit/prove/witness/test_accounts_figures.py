"""Columns, examples, times and rates of the verdict on handmade journals."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from carillon.prove.witness.accounts import Findings, judge, suspects
from carillon.prove.witness.history import history
from carillon.prove.witness.journal import FaultBegun, FaultEnded, Record
from carillon.prove.witness.verdict import Recovery, Verdict
from tests.unit.prove.witness.handmade import (
    BATCH,
    OTHER,
    REFUSED,
    SILENCE,
    UNAVAILABLE,
    WHOLE,
    Case,
    answered,
    asked,
    effect,
    intent,
    is_clean,
    shown,
)


@pytest.mark.parametrize(
    ("case", "figures"),
    [
        (WHOLE, {"intended": 1, "accepted": 1, "sent": 1, "effects": 1, "refused": 0}),
        (replace(WHOLE, client=SILENCE), {"accepted": 1, "in_doubt_accepted": 1, "in_doubt_nought": 0}),
        (Case(client=SILENCE, provider=[], shown=[]), {"accepted": 0, "in_doubt_nought": 1}),
        (Case(client=REFUSED, provider=[], shown=[]), {"accepted": 0, "refused": 1}),
        (
            Case(client=BATCH),
            {"intended": 2, "accepted": 1, "in_doubt_accepted": 0, "refused": 1},
        ),
        (
            Case(client=[intent(), intent(OTHER), asked(), answered()]),
            {"accepted": 1, "in_doubt_accepted": 0, "in_doubt_nought": 1},
        ),
        (replace(WHOLE, shown=[shown(flagged=True)]), {"flagged": 1, "possible_duplicates": 0}),
        (replace(WHOLE, provider=[], shown=[shown("failed")]), {"parked": 1, "sent": 0}),
        (replace(WHOLE, provider=[], shown=[shown("unknown")]), {"unknown": 1}),
        (replace(WHOLE, provider=[], shown=[shown("discarded")]), {"discarded": 1}),
        (replace(WHOLE, provider=[effect(), effect("")], prefix="kill"), {"unmarked": 1, "unaccepted": 0}),
        (
            Case(client=[intent(), asked(), answered(500, kind="internal")], provider=[], shown=[]),
            {"status_5xx": 1, "server_errors": 1},
        ),
        (Case(client=UNAVAILABLE, provider=[], shown=[]), {"status_5xx": 1, "server_errors": 0}),
    ],
)
def test_every_mark_stands_in_its_columns(case: Case, figures: dict[str, int]) -> None:
    verdict = case.verdict()
    assert {name: getattr(verdict, name) for name in figures} == figures


def test_examples_name_mark_and_notification_and_are_few() -> None:
    marks = [f"killx000001{number}" for number in range(30)]
    case = Case(
        client=[record for mark in marks for record in (intent(mark, key=mark), asked(key=mark))]
        + [answered(key=mark, ids={mark: f"n-{mark}"}) for mark in marks],
        provider=[],
        shown=[shown(name=f"n-{mark}", mark=mark) for mark in marks],
    )
    verdict = case.verdict()
    assert verdict.lost == 30
    assert [each.mark for each in verdict.examples["lost"]] == marks[:20]
    assert verdict.examples["lost"][0].id == f"n-{marks[0]}"


def test_what_looks_wrong_is_suspect_and_nothing_else() -> None:
    told = history(
        clients=[[intent(), asked(), answered(), intent(OTHER, key="o"), asked(key="o")]],
        providers=[[effect(), effect(), effect(OTHER)]],
        faults=[],
    )
    found = Findings(shown={"n1": shown(flagged=True)}, read_whole=True)
    assert suspects(told, found) == [OTHER]


def test_answers_are_measured_by_what_they_say() -> None:
    client: list[Record] = [intent()]
    for number in range(1, 101):
        client += [asked(number), answered(ask=number, ms=number)]
    client += [
        asked(101),
        answered(429, ask=101, ms=7),
        asked(102),
        answered(503, ask=102, ms=9, kind="backlog_full"),
    ]
    verdict = replace(WHOLE, client=client).verdict()
    assert (verdict.p50_ms, verdict.p99_ms) == (50, 99)
    assert (verdict.refusal_p99_ms, verdict.longest_503_ms) == (9, 9)
    assert verdict.answers == {"202": 100, "429": 1, "503": 1}
    assert verdict.asks == 102


def test_a_batch_does_not_count_among_the_times_of_single_requests() -> None:
    assert Case(client=BATCH).verdict().p99_ms is None


def test_accepted_per_second_is_from_the_first_intent_to_the_last_acceptance() -> None:
    client: list[Record] = [
        intent(t=10),
        asked(t=10),
        answered(t=11),
        intent(OTHER, key="o", t=11),
        asked(key="o", t=11),
        answered(key="o", t=14, ids={OTHER: "n2"}),
    ]
    assert replace(WHOLE, client=client).verdict().accepted_per_s == 0.5


@pytest.mark.parametrize(
    ("faults", "recoveries", "longest"),
    [
        ((), [], None),
        ((FaultBegun(t=0.2, name="a"),), [], None),
        ((FaultEnded(t=0.5, name="a"),), [Recovery("a", 1.5)], 1.5),
        (
            (FaultEnded(t=0.9, name="a"), FaultEnded(t=0.2, name="b")),
            [Recovery("a", 1.1), Recovery("b", 1.8)],
            1.8,
        ),
        (
            (FaultEnded(t=0.5, name="a"), FaultEnded(t=1.5, name="b")),
            [Recovery("a", 1.5), Recovery("b", None)],
            None,
        ),
        ((FaultEnded(t=-1, name="of an earlier run"),), [], None),
    ],
)
def test_recovery_takes_until_something_is_accepted_and_something_is_sent(
    faults: Sequence[Record], recoveries: list[Recovery], longest: float | None
) -> None:
    """Accepted at 1, sent at 2."""
    verdict = replace(WHOLE, faults=faults).verdict()
    assert (verdict.recoveries, verdict.recovery_s) == (recoveries, longest)


def test_of_several_clients_and_providers_everything_counts() -> None:
    told = history(
        clients=[[intent(), asked(), answered()], [intent(OTHER), asked(), answered(ids={OTHER: "n2"})]],
        providers=[[effect()], [effect(OTHER)]],
        faults=[],
    )
    found = Findings(shown={"n1": shown(), "n2": shown(name="n2", mark=OTHER)}, read_whole=True)
    verdict = judge(told, found, settled=True)
    assert (verdict.accepted, verdict.sent, is_clean(verdict)) == (2, 2, True)


def test_the_verdict_can_be_read_back() -> None:
    verdict = replace(WHOLE, provider=[]).verdict()
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict


def test_what_has_not_come_to_rest_is_not_clean() -> None:
    told = history(clients=[WHOLE.client], providers=[WHOLE.provider], faults=[])
    found = Findings(shown={"n1": shown()}, read_whole=True)
    assert not is_clean(judge(told, found, settled=False))
