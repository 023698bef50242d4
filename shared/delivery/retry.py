"""What comes after an outcome: pure functions, no clock, no chance of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.contracts.categories import policy_of
from shared.contracts.delivery import Attempt, DeliveryState
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown

MAX_CALLS = 4
"""Calls in all that may fail before a message is parked."""
BACKOFF_S = {1: 1.0, 2: 2.0, 3: 4.0}
"""Seconds to wait by number of spent calls, before jitter."""
JITTER = 0.25
"""The largest share of the wait that is added by chance."""
LONGEST_THROTTLING = timedelta(hours=24)
"""A message that is throttled for longer, counted from its creation, is parked."""


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What the ledger is to write. `retry_in` is set in state `retrying` alone; `step` is the broker's delay
    that fits it, or None where the ledger's own sweep brings the message back."""

    state: DeliveryState
    retry_in: timedelta | None = None
    step: int | None = None
    possible_duplicate: bool = False


def spent(attempts: Sequence[Attempt]) -> int:
    """How many calls count against the limit: all but those that were throttled."""
    return sum(attempt.outcome != "throttled" for attempt in attempts)


def settle(
    outcome: Outcome, *, earlier: Sequence[Attempt], category: str, age: timedelta, chance: float
) -> Settlement:
    """The settlement of a call after `earlier` ones of the same run. `age` is that of the message, `chance`
    is in [0, 1)."""
    match outcome:
        case Accepted():
            return Settlement(state=DeliveryState.SENT)
        case Rejected():
            return Settlement(state=DeliveryState.FAILED)
        case Throttled() if age > LONGEST_THROTTLING:
            return Settlement(state=DeliveryState.FAILED)
        case Throttled(after_s=after_s):
            return Settlement(state=DeliveryState.RETRYING, retry_in=timedelta(seconds=max(after_s, 1.0)))
        case Unknown():
            return _settle_doubt(earlier, category=category)
        case Retryable():
            calls = spent(earlier) + 1
            if calls >= MAX_CALLS:
                return Settlement(state=DeliveryState.FAILED)
            wait = BACKOFF_S[calls] * (1 + JITTER * chance)
            return Settlement(state=DeliveryState.RETRYING, retry_in=timedelta(seconds=wait), step=calls)


def _settle_doubt(earlier: Sequence[Attempt], *, category: str) -> Settlement:
    """A message that may have gone out is sent once more where a second copy is the lesser evil, and then
    marked; a second doubt, or a category that must never go out twice, ends in `unknown`."""
    doubted_before = any(attempt.outcome == "unknown" for attempt in earlier)
    if doubted_before or not policy_of(category).repeat_after_doubt or spent(earlier) + 1 >= MAX_CALLS:
        return Settlement(state=DeliveryState.UNKNOWN)
    return Settlement(state=DeliveryState.RETRYING, retry_in=timedelta(0), step=1, possible_duplicate=True)
