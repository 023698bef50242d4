"""What comes after an outcome: pure functions, no clock, no chance of their own.

A doubt, that is, a call of which nobody knows whether the message was taken, is resolved in order: the same
call with the same key where the provider takes keys; a question to the provider; a minute's wait for its
callback; then by category. A provider that offers none of it leaves the category alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.contracts.categories import policy_of
from shared.contracts.delivery import Attempt, DeliveryState
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown
from shared.delivery.recourse import NO_RECOURSE, Finding, Recourse

MAX_CALLS = 4
"""Calls in all that may fail before a message is parked, unless the channel has longer waits after them."""
BACKOFF_S = {1: 1.0, 2: 2.0, 3: 4.0}
"""Seconds to wait by number of spent calls, before jitter."""
JITTER = 0.25
"""The largest share of the wait that is added by chance."""
LONGEST_THROTTLING = timedelta(hours=24)
"""A message that is throttled for longer, counted from its first call, is parked."""
ASK_AFTER = timedelta(seconds=1)
AWAIT_CALLBACK = timedelta(seconds=60)
NOT_TAKEN = "not_taken"
"""The outcome of an entry of the history that is no call: the provider, asked, never took the one before."""
_CALLS = frozenset({"accepted", "rejected", "retryable", "unknown"})


class DoubtStep(StrEnum):
    """What is to be done next about an open doubt, in this order."""

    SAME_KEY = "same_key"
    ASK = "ask"
    AWAIT_CALLBACK = "await_callback"


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What the ledger is to write. `retry_in` is set in state `retrying` alone; `step` is the broker's delay
    that fits it, or None where the ledger's own sweep brings the message back; `doubt` is what is to be done
    then in place of an ordinary call."""

    state: DeliveryState
    retry_in: timedelta | None = None
    step: int | None = None
    possible_duplicate: bool = False
    doubt: DoubtStep | None = None


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What a settlement depends on beside the outcome.

    `earlier`: the entries of the same run and target before this call. `age`: since its first call in this
    run. `chance`: in [0, 1). `doubt`: the step that the call was made for. `repeated`: it was sent once more
    at the risk of a second copy before. `recourse`: of the provider that was called. `elsewhere`: whether a
    provider can be called right now. `longer_waits_s`: waits, in seconds, after the first four calls.
    `expires_in`: when it is to be looked at again at the latest.
    """

    earlier: Sequence[Attempt]
    category: str
    chance: float
    age: timedelta = timedelta(0)
    doubt: DoubtStep | None = None
    repeated: bool = False
    recourse: Recourse = NO_RECOURSE
    elsewhere: bool = False
    longer_waits_s: Sequence[float] = ()
    expires_in: timedelta | None = None


def spent(attempts: Sequence[Attempt]) -> int:
    """How many calls count against the limit: all but those that were throttled."""
    return sum(attempt.outcome in _CALLS for attempt in attempts)


def in_doubt(attempts: Sequence[Attempt]) -> bool:
    """Whether one of the calls may have been taken without anybody knowing: each provider can deny its own
    alone."""
    doubtful: set[str] = set()
    for attempt in attempts:
        if attempt.outcome == "unknown":
            doubtful.add(attempt.provider)
        elif attempt.outcome == NOT_TAKEN:
            doubtful.discard(attempt.provider)
        elif attempt.outcome == "accepted":
            doubtful.clear()
    return bool(doubtful)


def age_at(now: datetime, attempts: Sequence[Attempt]) -> timedelta:
    """How long ago the first of a run's calls was made."""
    return now - min((attempt.started_at for attempt in attempts), default=now)


def key_is_good(recourse: Recourse, *, age: timedelta) -> bool:
    """Whether the same call again still has one effect, `age` after the first."""
    return recourse.same_key is not None and age < recourse.same_key


def settle(outcome: Outcome, circumstances: Circumstances) -> Settlement:
    """The settlement of a call."""
    settlement = _settle(outcome, circumstances)
    left = circumstances.expires_in
    if settlement.retry_in is None or left is None or settlement.retry_in <= left:
        return settlement
    # That it has expired is told when it does, and not when it would have been tried again.
    return replace(settlement, retry_in=max(left, timedelta(0)))


def _settle(outcome: Outcome, c: Circumstances) -> Settlement:
    match outcome:
        case Accepted():
            return Settlement(state=DeliveryState.SENT)
        case Rejected():
            return _give_up(c)
        case Throttled() if c.elsewhere and c.doubt is None:
            return Settlement(state=DeliveryState.RETRYING, retry_in=timedelta(seconds=1), step=1)
        case Throttled(after_s=after_s) if c.age <= LONGEST_THROTTLING:
            retry_in = timedelta(seconds=max(after_s, 1.0))
            return Settlement(state=DeliveryState.RETRYING, retry_in=retry_in, doubt=c.doubt)
        case Throttled():
            return _give_up(c)
        case Unknown():
            return _settle_doubt(c, calls=spent(c.earlier) + 1)
        case Retryable():
            return _settle_failure(c, calls=spent(c.earlier) + 1)


def settle_question(finding: Finding, circumstances: Circumstances) -> Settlement:
    """After the provider was asked; `earlier` ends with the call that is in doubt, or with the provider's
    word that it never took it."""
    c = circumstances
    calls = spent(c.earlier)
    match finding:
        case Finding.TAKEN:
            return Settlement(state=DeliveryState.SENT)
        case Finding.NO_ANSWER:
            return _pursue(c, after=DoubtStep.ASK, calls=calls)
        case Finding.NOT_TAKEN:
            if calls < MAX_CALLS + len(c.longer_waits_s):
                return _again(calls, c, doubt=None)
            return _give_up(c)


def give_up_step(step: DoubtStep, circumstances: Circumstances) -> Settlement:
    """A step that brought nothing: no callback came, or the provider cannot be called with the same key."""
    return _pursue(circumstances, after=step, calls=spent(circumstances.earlier))


def _settle_doubt(c: Circumstances, *, calls: int) -> Settlement:
    if key_is_good(c.recourse, age=c.age) and calls < MAX_CALLS:
        return _again(calls, c, doubt=DoubtStep.SAME_KEY)
    return _pursue(c, after=DoubtStep.SAME_KEY, calls=calls)


def _settle_failure(c: Circumstances, *, calls: int) -> Settlement:
    if calls < MAX_CALLS + len(c.longer_waits_s):
        return _again(calls, c, doubt=c.doubt)
    return _give_up(c) if c.doubt is None else _pursue(c, after=c.doubt, calls=calls)


def _again(calls: int, c: Circumstances, *, doubt: DoubtStep | None) -> Settlement:
    short = calls in BACKOFF_S
    wait_s = BACKOFF_S[calls] if short else c.longer_waits_s[calls - MAX_CALLS]
    return Settlement(
        state=DeliveryState.RETRYING,
        retry_in=timedelta(seconds=wait_s * (1 + JITTER * c.chance)),
        step=calls if short else None,
        doubt=doubt,
    )


def _give_up(c: Circumstances) -> Settlement:
    """Parked; but what may have gone out is not offered to be sent again as if it had not."""
    return Settlement(state=DeliveryState.UNKNOWN if in_doubt(c.earlier) else DeliveryState.FAILED)


def _pursue(c: Circumstances, *, after: DoubtStep, calls: int) -> Settlement:
    policy = policy_of(c.category)
    if after is DoubtStep.SAME_KEY and c.recourse.ask is not None:
        return Settlement(state=DeliveryState.RETRYING, retry_in=ASK_AFTER, step=1, doubt=DoubtStep.ASK)
    if after is not DoubtStep.AWAIT_CALLBACK and c.recourse.calls_back and policy.awaits_evidence:
        return Settlement(
            state=DeliveryState.RETRYING, retry_in=AWAIT_CALLBACK, doubt=DoubtStep.AWAIT_CALLBACK
        )
    if c.repeated or not policy.repeat_after_doubt or calls >= MAX_CALLS:
        return Settlement(state=DeliveryState.UNKNOWN)
    # A second copy is the lesser evil: sent once more, and marked.
    return Settlement(state=DeliveryState.RETRYING, retry_in=timedelta(0), step=1, possible_duplicate=True)
