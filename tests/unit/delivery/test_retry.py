"""What comes after an outcome."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.contracts.delivery import Attempt, DeliveryState, Problem
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown
from shared.delivery.recourse import Finding, Inquiry, Recourse
from shared.delivery.retry import (
    Circumstances,
    DoubtStep,
    give_up_step,
    in_doubt,
    settle,
    settle_question,
    spent,
)

PROBLEM = Problem(kind="provider.refused", message="No.")
ACCEPTED = Accepted(provider_message_id="1")
REJECTED = Rejected(problem=PROBLEM)
RETRYABLE = Retryable(problem=PROBLEM)
UNKNOWN = Unknown(problem=PROBLEM)
THROTTLED = Throttled(after_s=90, problem=PROBLEM)


async def ask(_: Inquiry) -> Finding:
    raise AssertionError("a decision asks nobody")


KEYS = Recourse(same_key=timedelta(hours=24))
ASKS = Recourse(ask=ask)
CALLS_BACK = Recourse(calls_back=True)
EVERYTHING = Recourse(same_key=timedelta(hours=24), ask=ask, calls_back=True)


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


def after(*outcomes: str, category: str = "transactional", **more: Any) -> Circumstances:
    usual: dict[str, Any] = {"age": timedelta(0), "chance": 0.5}
    return Circumstances(earlier=history(*outcomes), category=category, **{**usual, **more})


@pytest.mark.parametrize(
    ("outcome", "circumstances", "state"),
    [
        (ACCEPTED, after(), DeliveryState.SENT),
        (ACCEPTED, after(*["retryable"] * 3, category="promotional"), DeliveryState.SENT),
        (REJECTED, after(), DeliveryState.FAILED),
        (RETRYABLE, after(), DeliveryState.RETRYING),
        (RETRYABLE, after(*["retryable"] * 2), DeliveryState.RETRYING),
        (RETRYABLE, after(*["retryable"] * 3), DeliveryState.FAILED),
        (RETRYABLE, after(*["throttled"] * 9), DeliveryState.RETRYING),
        # What may have gone out is not parked as if it had not.
        (RETRYABLE, after("unknown", "retryable", "retryable"), DeliveryState.UNKNOWN),
        (RETRYABLE, after("unknown", "not_taken", "retryable", "retryable"), DeliveryState.FAILED),
        (REJECTED, after("unknown", repeated=True), DeliveryState.UNKNOWN),
        (REJECTED, after("unknown", doubt=DoubtStep.SAME_KEY, recourse=KEYS), DeliveryState.UNKNOWN),
        (THROTTLED, after("unknown", age=timedelta(hours=25)), DeliveryState.UNKNOWN),
        (UNKNOWN, after(), DeliveryState.RETRYING),
        (UNKNOWN, after(category="security"), DeliveryState.RETRYING),
        (UNKNOWN, after(category="promotional"), DeliveryState.UNKNOWN),
        (UNKNOWN, after("unknown", repeated=True), DeliveryState.UNKNOWN),
        (UNKNOWN, after(*["retryable"] * 3, category="security"), DeliveryState.UNKNOWN),
    ],
)
def test_an_outcome_settles_by_history_and_category(
    outcome: Outcome, circumstances: Circumstances, state: DeliveryState
) -> None:
    assert settle(outcome, circumstances).state is state


@pytest.mark.parametrize(
    ("recourse", "category", "step", "state"),
    [
        (KEYS, "transactional", DoubtStep.SAME_KEY, DeliveryState.RETRYING),
        (KEYS, "promotional", DoubtStep.SAME_KEY, DeliveryState.RETRYING),
        (ASKS, "transactional", DoubtStep.ASK, DeliveryState.RETRYING),
        (ASKS, "promotional", DoubtStep.ASK, DeliveryState.RETRYING),
        (ASKS, "security", DoubtStep.ASK, DeliveryState.RETRYING),
        (CALLS_BACK, "transactional", DoubtStep.AWAIT_CALLBACK, DeliveryState.RETRYING),
        (CALLS_BACK, "promotional", DoubtStep.AWAIT_CALLBACK, DeliveryState.RETRYING),
        (CALLS_BACK, "security", None, DeliveryState.RETRYING),
        (EVERYTHING, "security", DoubtStep.SAME_KEY, DeliveryState.RETRYING),
        (Recourse(), "promotional", None, DeliveryState.UNKNOWN),
    ],
)
def test_the_first_step_after_a_doubt_is_the_first_that_the_provider_offers(
    recourse: Recourse, category: str, step: DoubtStep | None, state: DeliveryState
) -> None:
    settlement = settle(UNKNOWN, after(category=category, recourse=recourse))

    assert (settlement.doubt, settlement.state) == (step, state)
    # Only a call without a key, after every other step, can make a second copy.
    assert settlement.possible_duplicate is (step is None and state is DeliveryState.RETRYING)


@pytest.mark.parametrize(
    ("step", "category", "following"),
    [
        (DoubtStep.SAME_KEY, "transactional", DoubtStep.ASK),
        (DoubtStep.ASK, "transactional", DoubtStep.AWAIT_CALLBACK),
        (DoubtStep.ASK, "promotional", DoubtStep.AWAIT_CALLBACK),
        (DoubtStep.ASK, "security", None),
        (DoubtStep.AWAIT_CALLBACK, "transactional", None),
        (DoubtStep.AWAIT_CALLBACK, "promotional", None),
    ],
)
def test_the_steps_come_in_their_order_and_then_the_category_decides(
    step: DoubtStep, category: str, following: DoubtStep | None
) -> None:
    settlement = give_up_step(step, after("unknown", category=category, recourse=EVERYTHING))

    assert settlement.doubt is following
    if following is None:
        repeated = category != "promotional"
        assert settlement.possible_duplicate is repeated
        assert settlement.state is (DeliveryState.RETRYING if repeated else DeliveryState.UNKNOWN)


def test_the_wait_for_a_callback_is_a_minute_and_the_broker_does_not_carry_it() -> None:
    settlement = settle(UNKNOWN, after(recourse=CALLS_BACK))

    assert settlement.retry_in == timedelta(seconds=60)
    assert settlement.step is None


def test_the_same_key_is_tried_as_long_as_calls_are_left_and_then_the_next_step_taken() -> None:
    again = settle(UNKNOWN, after("unknown", recourse=EVERYTHING, doubt=DoubtStep.SAME_KEY))
    used_up = settle(UNKNOWN, after(*["unknown"] * 3, recourse=EVERYTHING, doubt=DoubtStep.SAME_KEY))

    assert again.doubt is DoubtStep.SAME_KEY
    assert used_up.doubt is DoubtStep.ASK


def test_a_key_that_the_provider_has_forgotten_is_not_used_again() -> None:
    fresh = settle(UNKNOWN, after("unknown", recourse=KEYS, age=timedelta(hours=23), category="promotional"))
    old = settle(UNKNOWN, after("unknown", recourse=KEYS, age=timedelta(hours=24), category="promotional"))

    assert fresh.doubt is DoubtStep.SAME_KEY
    assert old.state is DeliveryState.UNKNOWN


@pytest.mark.parametrize("outcome", [RETRYABLE, THROTTLED])
def test_what_was_not_taken_this_time_leaves_the_doubt_about_the_first(outcome: Outcome) -> None:
    settlement = settle(outcome, after("unknown", recourse=KEYS, doubt=DoubtStep.SAME_KEY))

    assert settlement.doubt is DoubtStep.SAME_KEY
    assert not settlement.possible_duplicate


@pytest.mark.parametrize(
    ("finding", "calls", "state", "step"),
    [
        (Finding.TAKEN, 1, DeliveryState.SENT, None),
        (Finding.NOT_TAKEN, 1, DeliveryState.RETRYING, None),
        (Finding.NOT_TAKEN, 4, DeliveryState.FAILED, None),
        (Finding.NO_ANSWER, 1, DeliveryState.RETRYING, DoubtStep.AWAIT_CALLBACK),
    ],
)
def test_the_providers_word_settles_a_doubt(
    finding: Finding, calls: int, state: DeliveryState, step: DoubtStep | None
) -> None:
    said = ["not_taken"] if finding is Finding.NOT_TAKEN else []
    earlier = [*["retryable"] * (calls - 1), "unknown", *said]

    settlement = settle_question(finding, after(*earlier, recourse=EVERYTHING))

    assert (settlement.state, settlement.doubt) == (state, step)
    assert not settlement.possible_duplicate


@pytest.mark.parametrize(
    ("outcomes", "doubt"),
    [
        ((), False),
        (("retryable",), False),
        (("unknown",), True),
        (("unknown", "retryable"), True),
        (("unknown", "not_taken"), False),
        (("unknown", "not_taken", "unknown"), True),
        (("unknown", "accepted"), False),
    ],
)
def test_a_doubt_is_open_until_somebody_knows(outcomes: tuple[str, ...], doubt: bool) -> None:
    assert in_doubt(history(*outcomes)) is doubt


def test_neither_throttling_nor_a_providers_word_is_a_call() -> None:
    assert spent(history("throttled", "unknown", "not_taken", "retryable")) == 2


@pytest.mark.parametrize(("failed_calls", "wait_s"), [(0, 1.0), (1, 2.0), (2, 4.0)])
def test_the_wait_doubles_and_jitter_only_adds(failed_calls: int, wait_s: float) -> None:
    earlier = ["retryable"] * failed_calls

    soonest = settle(RETRYABLE, after(*earlier, chance=0.0))
    latest = settle(RETRYABLE, after(*earlier, chance=0.999))

    assert soonest.retry_in == timedelta(seconds=wait_s)
    assert latest.retry_in is not None
    assert timedelta(seconds=wait_s) < latest.retry_in <= timedelta(seconds=wait_s * 1.25)
    assert soonest.step == failed_calls + 1


@pytest.mark.parametrize(("failed_calls", "wait_s"), [(3, 300), (4, 900), (5, 1800), (6, None)])
def test_longer_waits_follow_the_first_four_calls_and_live_in_the_ledger_alone(
    failed_calls: int, wait_s: float | None
) -> None:
    settlement = settle(
        RETRYABLE, after(*["retryable"] * failed_calls, chance=0.0, longer_waits_s=(300.0, 900.0, 1800.0))
    )

    assert settlement.step is None
    if wait_s is None:
        assert settlement.state is DeliveryState.FAILED
    else:
        assert settlement.retry_in == timedelta(seconds=wait_s)


def test_a_throttled_call_waits_as_long_as_it_was_told_and_leaves_the_broker() -> None:
    settlement = settle(THROTTLED, after(chance=0.9))

    assert settlement.retry_in == timedelta(seconds=90)
    assert settlement.step is None


def test_what_one_provider_throttles_goes_to_another_that_can_be_called() -> None:
    settlement = settle(THROTTLED, after(elsewhere=True))

    assert settlement.retry_in == timedelta(seconds=1)
    # But not where the question is whether that very provider took it.
    bound = settle(THROTTLED, after("unknown", elsewhere=True, recourse=KEYS, doubt=DoubtStep.SAME_KEY))
    assert bound.retry_in == timedelta(seconds=90)


@pytest.mark.parametrize("left_s", [-5, 0, 30])
def test_a_wait_ends_when_the_message_expires(left_s: int) -> None:
    settlement = settle(THROTTLED, after(expires_in=timedelta(seconds=left_s)))

    assert settlement.retry_in == timedelta(seconds=max(left_s, 0))


def test_throttling_ends_after_a_day() -> None:
    day = timedelta(hours=24)

    assert settle(THROTTLED, after(age=day)).state is DeliveryState.RETRYING
    assert settle(THROTTLED, after(age=day + timedelta(seconds=1))).state is DeliveryState.FAILED
