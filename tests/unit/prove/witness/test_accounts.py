"""The verdict on handmade journals: each violation, and beside it the innocent case that looks like it."""

from dataclasses import replace

import msgspec
import pytest

from carillon.prove.witness.accounts import Findings, judge
from carillon.prove.witness.history import history
from carillon.prove.witness.journal import Call, Ended, FaultBegun, FaultEnded
from tests.unit.prove.witness.handmade import (
    BACKLOG,
    BATCH,
    MARK,
    OTHER,
    REFUSED,
    SILENCE,
    TWO_IDS,
    UNAVAILABLE,
    WHOLE,
    Case,
    answered,
    asked,
    effect,
    intent,
    is_clean,
    shown,
    silent,
)

VIOLATIONS = (
    "lost",
    "sent_without_effect",
    "silent_duplicates",
    "possible_duplicates",
    "stuck",
    "unaccepted",
    "undecided",
    "contradictions",
)

TO_A = replace(
    WHOLE, client=[msgspec.structs.replace(intent(), to="a@example.com"), asked(), answered(), Ended()]
)
AT_B = effect(to="b@example.com")
FLAGGED = [shown(flagged=True)]

CASES: dict[str, tuple[Case, dict[str, int]]] = {
    "sent once": (WHOLE, {}),
    "nothing was asked for": (Case(client=[], provider=[], shown=[]), {}),
    # lost
    "said to be sent": (replace(WHOLE, provider=[]), {"lost": 1, "sent_without_effect": 1}),
    "said to be delivered": (
        replace(WHOLE, provider=[], shown=[shown("delivered")]),
        {"lost": 1, "sent_without_effect": 1},
    ),
    "delivered": (replace(WHOLE, shown=[shown("delivered")]), {}),
    "the API does not know the id": (replace(WHOLE, provider=[], shown=[], missing=["n1"]), {"lost": 1}),
    "sent, and the API does not know the id": (replace(WHOLE, shown=[], missing=["n1"]), {"lost": 1}),
    "a 202 without an id that is not shown": (
        Case(client=[intent(), asked(), answered(ids={})], provider=[], shown=[]),
        {"lost": 1},
    ),
    "a 202 without an id that is shown": (replace(WHOLE, client=[intent(), asked(), answered(ids={})]), {}),
    "a call without effect": (
        replace(WHOLE, provider=[Call(t=2, mark=MARK, did="refuse")]),
        {"lost": 1, "sent_without_effect": 1},
    ),
    **{
        f"visibly {end}": (replace(WHOLE, provider=[], shown=[shown(end)]), {})
        for end in ("failed", "unknown", "suppressed", "expired", "cancelled", "discarded")
    },
    "metadata lost, found by its id": (replace(WHOLE, shown=[shown(mark="")]), {}),
    # stuck
    "retrying without end": (replace(WHOLE, provider=[], shown=[shown("retrying")]), {"stuck": 1, "lost": 1}),
    "sent, and its report is not in": (replace(WHOLE, shown=[shown("sending")]), {"stuck": 1}),
    "the API was never heard": (replace(WHOLE, shown=[], read_whole=False), {"stuck": 1}),
    "the API was never heard, and gave no id": (
        Case(client=[intent(), asked(), answered(ids={})], shown=[], read_whole=False),
        {"stuck": 1},
    ),
    "one notification of two without end, the other a visible one": (
        Case(client=TWO_IDS, provider=[], shown=[shown("failed"), shown("queued", name="n2")]),
        {"stuck": 1, "silent_duplicates": 1},
    ),
    # duplicates
    "twice in silence": (replace(WHOLE, provider=[effect(), effect(t=3)]), {"silent_duplicates": 1}),
    "three times in silence": (replace(WHOLE, provider=[effect()] * 3), {"silent_duplicates": 2}),
    "twice, flagged": (
        replace(WHOLE, provider=[effect(), effect(t=3)], shown=[shown(flagged=True)]),
        {"possible_duplicates": 1},
    ),
    "flagged, and once": (replace(WHOLE, shown=[shown(flagged=True)]), {}),
    "twice, flagged, the second to another": (
        replace(WHOLE, provider=[effect(), effect(to="b@example.com")], shown=[shown(flagged=True)]),
        {"silent_duplicates": 1},
    ),
    "three times, flagged, one to another": (
        replace(
            WHOLE, provider=[effect(), effect(), effect(to="b@example.com")], shown=[shown(flagged=True)]
        ),
        {"silent_duplicates": 1, "possible_duplicates": 1},
    ),
    "once, and a repeat with its key": (
        replace(WHOLE, provider=[effect(), Call(t=3, mark=MARK, did="repeat")]),
        {},
    ),
    "two effects, of two marks": (
        Case(
            client=[intent(), intent(OTHER), asked(), answered(ids={MARK: "n1", OTHER: "n2"})],
            provider=[effect(), effect(OTHER)],
            shown=[shown(), shown(name="n2", mark=OTHER)],
        ),
        {},
    ),
    "two notifications for one key": (
        replace(WHOLE, client=TWO_IDS, provider=[effect(), effect()], shown=[shown(), shown(name="n2")]),
        {"silent_duplicates": 1},
    ),
    "two notifications for one key, one of them still to be sent": (
        replace(WHOLE, client=TWO_IDS, shown=[shown(), shown("failed", name="n2")]),
        {"silent_duplicates": 1},
    ),
    "two ids told for one key": (
        replace(
            WHOLE,
            client=[*WHOLE.client, asked(2), answered(ask=2, ids={MARK: "n2"})],
            shown=[shown(), shown(name="n2")],
        ),
        {"silent_duplicates": 1},
    ),
    "the same id told twice": (replace(WHOLE, client=[*WHOLE.client, asked(2), answered(ask=2)]), {}),
    # unaccepted
    "nobody intended it": (
        replace(WHOLE, provider=[effect(), effect(OTHER), effect(OTHER)]),
        {"unaccepted": 2},
    ),
    "no mark at all": (replace(WHOLE, provider=[effect(), effect("")]), {"unaccepted": 1}),
    "of another prefix": (replace(WHOLE, provider=[effect(), effect("otherx0000011")], prefix="kill"), {}),
    "of a longer prefix": (replace(WHOLE, provider=[effect(), effect("kill1x000001")], prefix="kill"), {}),
    "refused, and sent": (Case(client=REFUSED, shown=[]), {"unaccepted": 1}),
    "refused, and shown": (Case(client=REFUSED, provider=[]), {"unaccepted": 1}),
    "refused": (Case(client=REFUSED, provider=[], shown=[]), {}),
    "refused for a full backlog, and sent": (Case(client=BACKLOG), {"unaccepted": 1}),
    "no connection, and sent": (Case(client=[intent(), asked(), silent("refused")]), {"unaccepted": 1}),
    "no connection": (Case(client=[intent(), asked(), silent("refused")], provider=[], shown=[]), {}),
    "never asked for, and sent": (Case(client=[intent()]), {"unaccepted": 1}),
    "an error of the API's, and sent": (
        Case(client=[intent(), asked(), answered(500, kind="internal")]),
        {"unaccepted": 1},
    ),
    "refused in a batch, and sent": (
        Case(client=BATCH, provider=[effect(), effect(OTHER)]),
        {"unaccepted": 1},
    ),
    "refused in a batch": (Case(client=BATCH), {}),
    "refused at first, then accepted": (
        replace(WHOLE, client=[intent(), asked(), answered(429), asked(2), answered(ask=2)]),
        {},
    ),
    # at another address
    "to whom it was meant for": (TO_A, {}),
    "to another": (replace(TO_A, provider=[AT_B]), {"unaccepted": 1}),
    "to another, flagged": (replace(TO_A, provider=[AT_B], shown=FLAGGED), {"unaccepted": 1}),
    "twice to whom it was meant for, flagged": (
        replace(TO_A, provider=[effect(), effect(t=3)], shown=FLAGGED),
        {"possible_duplicates": 1},
    ),
    "the second, flagged, to another": (
        replace(TO_A, provider=[effect(), AT_B], shown=FLAGGED),
        {"unaccepted": 1, "silent_duplicates": 1},
    ),
    "twice to another, flagged": (
        replace(TO_A, provider=[AT_B, AT_B], shown=FLAGGED),
        {"unaccepted": 2, "possible_duplicates": 1},
    ),
    "to a user, whose address nobody told": (replace(WHOLE, provider=[AT_B]), {}),
    # late: accepted at 1
    "a minute after": (replace(WHOLE, provider=[effect(t=61)]), {}),
    "later than a minute after": (replace(WHOLE, provider=[effect(t=61.5)]), {"stuck": 1}),
    "in time, and a late repeat, flagged": (
        replace(WHOLE, provider=[effect(), effect(t=99)], shown=FLAGGED),
        {"possible_duplicates": 1},
    ),
    "late, after a fault that was over before": (
        replace(WHOLE, provider=[effect(t=61.5)], faults=[FaultEnded(t=0.5, name="a")]),
        {"stuck": 1},
    ),
    "late, and a fault began, and did not end": (
        replace(WHOLE, provider=[effect(t=61.5)], faults=[FaultBegun(t=30, name="a")]),
        {"stuck": 1},
    ),
    "a minute after the last fault": (
        replace(
            WHOLE,
            provider=[effect(t=160)],
            faults=[FaultEnded(t=100, name="a"), FaultEnded(t=50, name="b")],
        ),
        {},
    ),
    "later than a minute after the last fault": (
        replace(WHOLE, provider=[effect(t=160.5)], faults=[FaultEnded(t=100, name="a")]),
        {"stuck": 1},
    ),
    # doubts
    "silence, and sent": (replace(WHOLE, client=SILENCE), {}),
    "silence, and nothing": (Case(client=SILENCE, provider=[], shown=[]), {}),
    "silence, shown, and lost": (
        Case(client=SILENCE, provider=[]),
        {"lost": 1, "sent_without_effect": 1},
    ),
    "silence, and twice": (
        replace(WHOLE, client=SILENCE, provider=[effect(), effect()]),
        {"silent_duplicates": 1},
    ),
    "silence, sent, and the API shows nothing": (replace(WHOLE, client=SILENCE, shown=[]), {"unaccepted": 1}),
    "silence, sent, and the API was not read": (
        replace(WHOLE, client=SILENCE, shown=[], read_whole=False),
        {"undecided": 1},
    ),
    "unavailable, and sent": (replace(WHOLE, client=UNAVAILABLE), {}),
    "unavailable, and nothing": (Case(client=UNAVAILABLE, provider=[], shown=[]), {}),
    "commit unknown, and sent": (
        replace(WHOLE, client=[intent(), asked(), answered(503, kind="commit_unknown")]),
        {},
    ),
    "a proxy's 502, and sent": (replace(WHOLE, client=[intent(), asked(), answered(502)]), {}),
    "asked, the client died, and sent": (replace(WHOLE, client=[intent(), asked()]), {}),
    "silence, then refused, and sent": (
        replace(WHOLE, client=[*SILENCE, asked(2), answered(409, ask=2, kind="idempotency_in_progress")]),
        {},
    ),
    "left out of a batch's answer, and sent": (
        replace(
            WHOLE,
            client=[intent(), intent(OTHER), asked(), answered()],
            provider=[effect(), effect(OTHER)],
            shown=[shown(), shown(name="n2", mark=OTHER)],
        ),
        {},
    ),
    # contradictions
    **{
        f"{end}, and has an effect": (replace(WHOLE, shown=[shown(end)]), {"contradictions": 1})
        for end in ("failed", "suppressed", "expired", "cancelled")
    },
    "unknown, and has an effect": (replace(WHOLE, shown=[shown("unknown")]), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_each_violation_is_counted_and_its_innocent_neighbour_is_not(name: str) -> None:
    case, expected = CASES[name]
    verdict = case.verdict()
    counted = {column: getattr(verdict, column) for column in VIOLATIONS if getattr(verdict, column)}
    assert counted == expected
    assert {*verdict.examples} == {*expected}
    harmless = expected.keys() <= {"possible_duplicates"} and case.read_whole
    assert is_clean(verdict) == harmless


@pytest.mark.parametrize(("stuck_after_s", "stuck"), [(4.0, 1), (5.0, 0), (6.0, 0)])
def test_what_is_late_is_for_the_caller_to_say(stuck_after_s: float, stuck: int) -> None:
    """Accepted at 1, sent at 6."""
    told = history(clients=[WHOLE.client], providers=[[effect(t=6)]], faults=[])
    found = Findings(shown={"n1": shown()}, read_whole=True)
    assert judge(told, found, settled=True, stuck_after_s=stuck_after_s).stuck == stuck
