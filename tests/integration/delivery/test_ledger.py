"""The ledger against a real PostgreSQL: what it grants, refuses and keeps."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared.contracts.delivery import Attempt, DeliveryKey, DeliveryState, Problem, ReportReceipt
from shared.database.engine import Database
from shared.delivery.ledger import Ledger
from shared.delivery.ledger_rows import Claim, Conclusion, LedgerRow, Opening, SettledAttempt, TargetKey
from shared.delivery.ledger_sql import NO_TARGET
from shared.delivery.retry import DoubtStep, Settlement
from shared.process.identifiers import uuid7

SENT = Settlement(state=DeliveryState.SENT)
RETRY_NOW = Settlement(state=DeliveryState.RETRYING, retry_in=timedelta(0))
PROBLEM = Problem(kind="provider.refused", message="No.")


@pytest.fixture
async def ledger(ledger_url: str) -> AsyncIterator[Ledger]:
    database = Database(ledger_url)
    await database.start()
    ledger = Ledger(database)
    await ledger.start()
    yield ledger
    await ledger.close()
    await database.close()


def opening(*, target: str = "mail-1", targets: int = 1) -> Opening:
    key = TargetKey(notification_id=uuid7(), run=1, target=target)
    return Opening(key=key, targets=targets, request=b"{}", correlation_id="c-1")


def claim(of: Opening, attempt: int, *, lease: timedelta = timedelta(seconds=30)) -> Claim:
    return Claim(opening=of, attempt=attempt, provider="smtp", lease=lease, token=uuid4())


def entry(number: int, outcome: str = "retryable") -> Attempt:
    return Attempt(
        number=number,
        provider="smtp",
        outcome=outcome,
        problem=None,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        duration_ms=5,
    )


def settled(of: Opening, attempt: int, settlement: Settlement) -> SettledAttempt:
    accepted = settlement.state is DeliveryState.SENT
    return SettledAttempt(
        key=of.key,
        attempt=attempt,
        settlement=settlement,
        provider_message_id="250 ok" if accepted else None,
        problem=None if accepted else PROBLEM,
        entry=entry(attempt, "accepted" if accepted else "retryable"),
    )


async def row_of(ledger: Ledger, of: Opening) -> LedgerRow:
    rows = await ledger.rows(DeliveryKey(notification_id=of.key.notification_id, run=of.key.run))
    return next(row for row in rows if row.key == of.key)


async def test_an_attempt_is_granted_once_however_many_ask(ledger: Ledger) -> None:
    target = opening()

    granted = await asyncio.gather(*(ledger.claim(claim(target, 1)) for _ in range(20)))

    assert granted.count(True) == 1


async def test_a_claim_whose_answer_got_lost_is_granted_to_the_same_token_again(ledger: Ledger) -> None:
    first = claim(opening(), 1)

    assert await ledger.claim(first)
    assert await ledger.claim(first)


async def test_the_next_attempt_is_granted_only_in_order_and_when_due(ledger: Ledger) -> None:
    target = opening()
    later = Settlement(state=DeliveryState.RETRYING, retry_in=timedelta(hours=1))
    assert not await ledger.claim(claim(target, 2))
    assert await ledger.claim(claim(target, 1))
    assert not await ledger.claim(claim(target, 2))
    await ledger.settle(settled(target, 1, later))
    assert not await ledger.claim(claim(target, 2))

    other = opening()
    await ledger.claim(claim(other, 1))
    await ledger.settle(settled(other, 1, RETRY_NOW))

    assert not await ledger.claim(claim(other, 3))
    assert not await ledger.claim(claim(other, 1))
    assert await ledger.claim(claim(other, 2))


async def test_what_is_sent_is_never_claimed_again_and_keeps_its_history(ledger: Ledger) -> None:
    target = opening()
    await ledger.claim(claim(target, 1))
    await ledger.settle(settled(target, 1, SENT))

    assert not await ledger.claim(claim(target, 1))
    assert not await ledger.claim(claim(target, 2))
    row = await row_of(ledger, target)
    assert row.state is DeliveryState.SENT
    assert row.provider_message_id == "250 ok"
    assert row.attempts == (entry(1, "accepted"),)
    assert row.request is None


async def test_an_expired_lease_is_found_and_never_claimed_anew(ledger: Ledger) -> None:
    target = opening()
    await ledger.claim(claim(target, 1, lease=timedelta(milliseconds=-1)))

    assert [row.key for row in await ledger.expired(grace=timedelta(0), limit=10)] == [target.key]
    assert not await ledger.claim(claim(target, 1))


async def test_a_late_acceptance_settles_a_doubt_and_stops_a_second_sending(ledger: Ledger) -> None:
    doubtful, resending = opening(), opening()
    for target, settlement in (
        (doubtful, Settlement(state=DeliveryState.UNKNOWN)),
        (resending, Settlement(state=DeliveryState.RETRYING, retry_in=timedelta(0), possible_duplicate=True)),
    ):
        await ledger.claim(claim(target, 1))
        await ledger.settle(settled(target, 1, settlement))

    late = [await ledger.settle(settled(target, 1, SENT)) for target in (doubtful, resending)]

    assert [row.state for row in late if row is not None] == [DeliveryState.SENT, DeliveryState.SENT]
    assert not await ledger.claim(claim(resending, 2))
    assert not (await row_of(ledger, resending)).possible_duplicate


async def test_a_late_refusal_changes_nothing(ledger: Ledger) -> None:
    target = opening()
    await ledger.claim(claim(target, 1))
    await ledger.settle(settled(target, 1, SENT))

    assert await ledger.settle(settled(target, 1, RETRY_NOW)) is None
    assert (await row_of(ledger, target)).state is DeliveryState.SENT


async def test_a_run_that_ended_before_its_targets_were_known_grants_none(ledger: Ledger) -> None:
    target = opening()
    whole = Opening(
        key=TargetKey(notification_id=target.key.notification_id, run=1, target=NO_TARGET),
        targets=1,
        request=b"{}",
        correlation_id="c-1",
    )
    suppressed = Conclusion(opening=whole, attempt=0, state=DeliveryState.SUPPRESSED, problem=PROBLEM)
    assert await ledger.conclude(suppressed) is not None

    assert not await ledger.claim(claim(target, 1))


async def test_a_run_with_a_target_does_not_end_as_a_whole(ledger: Ledger) -> None:
    target = opening()
    await ledger.claim(claim(target, 1))
    whole = Opening(
        key=TargetKey(notification_id=target.key.notification_id, run=1, target=NO_TARGET),
        targets=1,
        request=b"{}",
        correlation_id="c-1",
    )

    concluded = await ledger.conclude(
        Conclusion(opening=whole, attempt=0, state=DeliveryState.SUPPRESSED, problem=PROBLEM)
    )

    assert concluded is None


async def test_all_targets_of_a_run_are_found_after_a_crash(ledger: Ledger) -> None:
    first = opening(target="a", targets=3)
    others = [
        Opening(
            key=TargetKey(notification_id=first.key.notification_id, run=1, target=name),
            targets=3,
            request=b"{}",
            correlation_id="c-1",
        )
        for name in ("b", "c")
    ]
    await ledger.open([first, *others])
    await ledger.claim(claim(first, 1))

    overdue = await ledger.take_overdue(grace=timedelta(0), limit=10, hold=timedelta(0))

    assert {row.key.target for row in overdue} == {"b", "c"}


async def test_a_report_is_repeated_until_it_has_its_receipt(ledger: Ledger) -> None:
    target = opening()
    await ledger.claim(claim(target, 1))
    await ledger.settle(settled(target, 1, Settlement(state=DeliveryState.FAILED)))
    silent = await ledger.take_unreported(after=timedelta(0), limit=10)
    assert [row.key for row in silent] == [target.key]
    assert silent[0].request == b"{}"

    await ledger.receive([receipt(target, 1, DeliveryState.SENT)])
    assert await ledger.take_unreported(after=timedelta(0), limit=10)
    await ledger.receive([receipt(target, 1, DeliveryState.FAILED)])

    assert await ledger.take_unreported(after=timedelta(0), limit=10) == []
    assert (await row_of(ledger, target)).request is None


def receipt(of: Opening, attempt: int, state: DeliveryState) -> ReportReceipt:
    return ReportReceipt(
        notification_id=of.key.notification_id,
        run=of.key.run,
        target=of.key.target,
        attempt=attempt,
        state=state,
    )


async def test_a_lease_that_ran_out_is_not_revived(ledger: Ledger) -> None:
    target = opening()
    lapsed = claim(target, 1, lease=timedelta(milliseconds=-1))
    await ledger.claim(lapsed)

    await ledger.renew(
        [Claim(opening=target, attempt=1, provider="smtp", lease=timedelta(hours=1), token=lapsed.token)]
    )

    assert [row.key for row in await ledger.expired(grace=timedelta(0), limit=10)] == [target.key]


async def test_two_claims_of_one_attempt_in_one_group_are_not_both_granted(ledger: Ledger) -> None:
    target = opening()
    await ledger.claim(claim(target, 1))
    await ledger.settle(settled(target, 1, RETRY_NOW))

    granted = await asyncio.gather(ledger.claim(claim(target, 2)), ledger.claim(claim(target, 2)))

    assert sorted(granted) == [False, True]


DOUBT = Settlement(state=DeliveryState.RETRYING, retry_in=timedelta(0), possible_duplicate=True)


@pytest.mark.parametrize("first", [DOUBT, SENT], ids=["doubt first", "yes first"])
async def test_a_doubt_and_a_yes_of_one_attempt_at_once_are_a_yes(ledger: Ledger, first: Settlement) -> None:
    target = opening()
    await ledger.claim(claim(target, 1))
    second = SENT if first is DOUBT else DOUBT

    await asyncio.gather(ledger.settle(settled(target, 1, first)), ledger.settle(settled(target, 1, second)))

    assert (await row_of(ledger, target)).state is DeliveryState.SENT


@pytest.mark.parametrize(
    "end",
    [
        Settlement(state=DeliveryState.UNKNOWN),
        Settlement(state=DeliveryState.FAILED),
        RETRY_NOW,
    ],
    ids=lambda end: end.state.value,
)
async def test_a_yes_to_an_earlier_attempt_outlives_what_came_of_the_next(
    ledger: Ledger, end: Settlement
) -> None:
    in_flight, over = opening(), opening()
    for target in (in_flight, over):
        await ledger.claim(claim(target, 1))
        await ledger.settle(settled(target, 1, DOUBT))
        await ledger.claim(claim(target, 2))

    await ledger.settle(settled(in_flight, 1, SENT))
    assert (await row_of(ledger, in_flight)).state is DeliveryState.SENDING
    await ledger.settle(settled(in_flight, 2, end))
    await ledger.settle(settled(over, 2, end))
    await ledger.settle(settled(over, 1, SENT))

    for target in (in_flight, over):
        row = await row_of(ledger, target)
        assert row.state is DeliveryState.SENT
        assert row.possible_duplicate
        assert not await ledger.claim(claim(target, 3))


async def test_a_yes_is_kept_once_however_often_it_is_told(ledger: Ledger) -> None:
    target = opening()
    await ledger.claim(claim(target, 1))
    await ledger.settle(settled(target, 1, Settlement(state=DeliveryState.UNKNOWN)))

    for _ in range(3):
        await ledger.settle(settled(target, 1, SENT))

    outcomes = [attempt.outcome for attempt in (await row_of(ledger, target)).attempts]
    assert outcomes == ["retryable", "accepted"]


async def test_what_is_being_sent_is_not_ended_by_somebody_else(ledger: Ledger) -> None:
    target = opening()
    await ledger.claim(claim(target, 1))
    expired = Conclusion(opening=target, attempt=1, state=DeliveryState.EXPIRED, problem=PROBLEM)

    assert await ledger.conclude(expired) is None

    assert (await row_of(ledger, target)).state is DeliveryState.SENDING


async def test_of_two_that_take_the_same_step_about_a_doubt_one_writes(ledger: Ledger) -> None:
    target = opening()
    await ledger.claim(claim(target, 1))
    ask = Settlement(state=DeliveryState.RETRYING, retry_in=timedelta(0), doubt=DoubtStep.ASK)
    await ledger.settle(settled(target, 1, ask))
    again = Settlement(state=DeliveryState.RETRYING, retry_in=timedelta(0), possible_duplicate=True)
    step = replace(settled(target, 1, again), ended_step=DoubtStep.ASK, entry=None)

    first = await ledger.settle(step)

    assert first is not None
    assert await ledger.settle(step) is None
    # Nor does a step that is not the one that stands there.
    await ledger.claim(claim(target, 2))
    assert await ledger.settle(replace(step, attempt=2)) is None
    assert (await row_of(ledger, target)).state is DeliveryState.SENDING
