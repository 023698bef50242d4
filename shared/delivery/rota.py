"""Which provider makes the next call: the next healthy one of the channel."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from shared.delivery.outcomes import Outcome, Throttled, verdict_of
from shared.delivery.provider import Provider
from shared.delivery.recourse import NO_RECOURSE, Recourse
from shared.process.breaker import OPEN_FOR_S, CircuitBreaker, Permit

ContentT = TypeVar("ContentT")

MAX_NAP_S = 1.0
"""The longest nap, in seconds, between two looks at providers that are all held."""


class Passage(Enum):
    """Whether calls can be made at all right now."""

    FREE = auto()
    ONE_PROBE = auto()
    """Every provider's breaker is open, and one of them is due for a probe."""
    BLOCKED = auto()
    """Every provider's breaker is open, being probed, or it has told us to wait."""


@dataclass(frozen=True, kw_only=True)
class Turn(Generic[ContentT]):
    """The right to call a provider once; give it back by `Rota.finish` or `Rota.cancel`."""

    provider: Provider[ContentT]
    permit: Permit


class _Seat(Generic[ContentT]):
    """A provider with its breaker and, after a 429, the time until which it is held."""

    def __init__(self, provider: Provider[ContentT], breaker: CircuitBreaker) -> None:
        self.provider = provider
        self.breaker = breaker
        self.held_until = 0.0

    def passage(self, now: float) -> Passage:
        """For this provider alone."""
        if self.held_until > now:
            return Passage.BLOCKED
        if self.breaker.state == "closed":
            return Passage.FREE
        return Passage.ONE_PROBE if self.breaker.probe_is_due else Passage.BLOCKED


class Rota(Generic[ContentT]):
    """The providers of a channel in the order of preference, each with a breaker.

    While all of them are open or held nothing is claimed and no attempt is spent.
    """

    def __init__(
        self,
        providers: Sequence[Provider[ContentT]],
        *,
        breaker_open_s: float = OPEN_FOR_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._seats = [
            _Seat(
                provider,
                CircuitBreaker(provider.name, open_for_s=breaker_open_s, monotonic=monotonic),
            )
            for provider in providers
        ]

    @property
    def breakers(self) -> Sequence[CircuitBreaker]:
        """Of every provider."""
        return [seat.breaker for seat in self._seats]

    @property
    def passage(self) -> Passage:
        """Of the provider that is best off."""
        now = self._monotonic()
        passages = {seat.passage(now) for seat in self._seats}
        return next(passage for passage in Passage if passage in passages)

    def recourse_of(self, provider: str) -> Recourse:
        """What a provider offers after a doubt; one that is not on the rota any more offers nothing."""
        return next(
            (seat.provider.recourse for seat in self._seats if seat.provider.name == provider), NO_RECOURSE
        )

    def try_turn(self, *, after: str | None) -> Turn[ContentT] | None:
        """A turn at the first healthy provider; after a failure, at the next one behind `after`, which comes
        last."""
        names = [seat.provider.name for seat in self._seats]
        first = names.index(after) + 1 if after in names else 0
        return self._admitted([*self._seats[first:], *self._seats[:first]])

    def try_turn_at(self, provider: str) -> Turn[ContentT] | None:
        """A turn at this very provider."""
        return self._admitted([seat for seat in self._seats if seat.provider.name == provider])

    async def next_turn(self, *, after: str | None, within_s: float) -> Turn[ContentT] | None:
        """As `try_turn`, but waits a while until there is one."""
        give_up_at = self._monotonic() + within_s
        while True:
            turn = self.try_turn(after=after)
            left_s = give_up_at - self._monotonic()
            if turn is not None or left_s <= 0:
                return turn
            await asyncio.sleep(min(self._nap_s(), left_s))

    def finish(self, turn: Turn[ContentT], outcome: Outcome) -> None:
        """Tell the provider's breaker what came of the call. Client errors and 429 never count."""
        seat = self._seat_of(turn)
        if isinstance(outcome, Throttled):
            seat.held_until = max(seat.held_until, self._monotonic() + outcome.after_s)
        seat.breaker.settle(turn.permit, verdict_of(outcome))

    def cancel(self, turn: Turn[ContentT]) -> None:
        """Give an unused turn back."""
        self._seat_of(turn).breaker.release(turn.permit)

    def _admitted(self, seats: Sequence[_Seat[ContentT]]) -> Turn[ContentT] | None:
        now = self._monotonic()
        for seat in seats:
            if seat.held_until <= now:
                permit = seat.breaker.admit()
                if permit is not None:
                    return Turn(provider=seat.provider, permit=permit)
        return None

    def _seat_of(self, turn: Turn[ContentT]) -> _Seat[ContentT]:
        return next(seat for seat in self._seats if seat.provider is turn.provider)

    def _nap_s(self) -> float:
        now = self._monotonic()
        waits = [max(seat.held_until - now, seat.breaker.wait_s()) for seat in self._seats]
        return min(max(min(waits), 0.05), MAX_NAP_S)
