"""What comes after an outcome."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.contracts.delivery import Attempt, DeliveryState, Problem
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown
from shared.delivery.retry import settle

PROBLEM = Problem(kind="provider.refused", message="No.")
ACCEPTED = Accepted(provider_message_id="1")
REJECTED = Rejected(problem=PROBLEM)
RETRYABLE = Retryable(problem=PROBLEM)
UNKNOWN = Unknown(problem=PROBLEM)
NEW = timedelta(0)


def history(*outcomes: str) -> list[Attempt]:
    return [
        Attempt(
            number=number,
            provider="smtp",
            outcome=outcome,
            problem=None,
            started_at=datetime(2026, 1, 1, tzinfo=UTC),
            duration_ms=1,
        )
        for number, outcome in enumerate(outcomes, start=1)
    ]


@pytest.mark.parametrize(
    ("outcome", "earlier", "category", "state"),
    [
        (ACCEPTED, (), "transactional", DeliveryState.SENT),
        (ACCEPTED, ("retryable", "retryable", "retryable"), "promotional", DeliveryState.SENT),
        (REJECTED, (), "transactional", DeliveryState.FAILED),
        (RETRYABLE, (), "transactional", DeliveryState.RETRYING),
        (RETRYABLE, ("retryable", "retryable"), "transactional", DeliveryState.RETRYING),
        (RETRYABLE, ("retryable", "retryable", "retryable"), "transactional", DeliveryState.FAILED),
        (RETRYABLE, ("throttled",) * 9, "transactional", DeliveryState.RETRYING),
        (UNKNOWN, (), "transactional", DeliveryState.RETRYING),
        (UNKNOWN, (), "security", DeliveryState.RETRYING),
        (UNKNOWN, (), "promotional", DeliveryState.UNKNOWN),
        (UNKNOWN, ("unknown",), "transactional", DeliveryState.UNKNOWN),
        (UNKNOWN, ("retryable", "retryable", "retryable"), "security", DeliveryState.UNKNOWN),
    ],
)
def test_an_outcome_settles_by_history_and_category(
    outcome: Outcome, earlier: tuple[str, ...], category: str, state: DeliveryState
) -> None:
    settlement = settle(outcome, earlier=history(*earlier), category=category, age=NEW, chance=0.5)

    assert settlement.state is state


@pytest.mark.parametrize(("failed_calls", "wait_s"), [(0, 1.0), (1, 2.0), (2, 4.0)])
def test_the_wait_doubles_and_jitter_only_adds(failed_calls: int, wait_s: float) -> None:
    earlier = history(*["retryable"] * failed_calls)

    soonest = settle(RETRYABLE, earlier=earlier, category="transactional", age=NEW, chance=0.0)
    latest = settle(RETRYABLE, earlier=earlier, category="transactional", age=NEW, chance=0.999)

    assert soonest.retry_in == timedelta(seconds=wait_s)
    assert latest.retry_in is not None
    assert timedelta(seconds=wait_s) < latest.retry_in <= timedelta(seconds=wait_s * 1.25)
    assert soonest.step == failed_calls + 1


def test_only_a_doubt_marks_a_possible_duplicate() -> None:
    doubt = settle(UNKNOWN, earlier=(), category="security", age=NEW, chance=0.0)
    refusal = settle(RETRYABLE, earlier=(), category="security", age=NEW, chance=0.0)

    assert doubt.possible_duplicate
    assert not refusal.possible_duplicate


def test_a_throttled_call_waits_as_long_as_it_was_told_and_leaves_the_broker() -> None:
    settlement = settle(
        Throttled(after_s=90, problem=PROBLEM), earlier=(), category="transactional", age=NEW, chance=0.9
    )

    assert settlement.retry_in == timedelta(seconds=90)
    assert settlement.step is None


def test_throttling_ends_after_a_day() -> None:
    throttled = Throttled(after_s=60, problem=PROBLEM)
    day = timedelta(hours=24)

    within = settle(throttled, earlier=(), category="transactional", age=day, chance=0.0)
    beyond = settle(
        throttled, earlier=(), category="transactional", age=day + timedelta(seconds=1), chance=0.0
    )

    assert within.state is DeliveryState.RETRYING
    assert beyond.state is DeliveryState.FAILED
