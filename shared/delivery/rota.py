"""Which provider makes the next call: the next healthy one of the channel."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown
from shared.delivery.provider import Provider
from shared.process.breaker import Permit, ProviderBreaker

ContentT = TypeVar("ContentT")

MAX_NAP_S = 1.0
"""The longest nap, in seconds, between two looks at providers that are all held."""


@dataclass(frozen=True, kw_only=True)
class Turn(Generic[ContentT]):
    """The right to call a provider once; give it back by `Rota.finish` or `Rota.cancel`."""

    provider: Provider[ContentT]
    permit: Permit


class _Seat(Generic[ContentT]):
    """A provider with its breaker and, after a 429, the time until which it is held."""

    def __init__(self, provider: Provider[ContentT], breaker: ProviderBreaker) -> None:
        self.provider = provider
        self.breaker = breaker
        self.held_until = 0.0


class Rota(Generic[ContentT]):
    """The providers of a channel in the order of preference, each with a breaker.

    While all of them are open or held, `next_turn` waits: nothing is claimed and no attempt is spent, and
    since what waits fills the prefetch, the channel's queues are no longer consumed.
    """

    def __init__(
        self,
        providers: Sequence[Provider[ContentT]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._seats = [
            _Seat(provider, ProviderBreaker(provider.name, monotonic=monotonic)) for provider in providers
        ]

    @property
    def breaker_states(self) -> dict[str, str]:
        """`closed`, `open` or `half-open` by provider."""
        return {seat.provider.name: seat.breaker.state for seat in self._seats}

    def try_turn(self, *, avoid: str | None) -> Turn[ContentT] | None:
        """A turn at the first healthy provider; not `avoid`, which failed last, if there is a choice."""
        now = self._monotonic()
        ready = [seat for seat in self._seats if seat.held_until <= now]
        for seat in sorted(ready, key=lambda seat: seat.provider.name == avoid):
            permit = seat.breaker.admit()
            if permit is not None:
                return Turn(provider=seat.provider, permit=permit)
        return None

    async def next_turn(self, *, avoid: str | None) -> Turn[ContentT]:
        """As `try_turn`, but waits until there is one."""
        while True:
            turn = self.try_turn(avoid=avoid)
            if turn is not None:
                return turn
            await asyncio.sleep(min(self._nap_s(), MAX_NAP_S))

    def _nap_s(self) -> float:
        now = self._monotonic()
        waits = [max(seat.held_until - now, seat.breaker.wait_s()) for seat in self._seats]
        return max(min(waits), 0.05)

    def finish(self, turn: Turn[ContentT], outcome: Outcome) -> None:
        """Tell the provider's breaker what came of the call. Client errors and 429 never count."""
        seat = next(seat for seat in self._seats if seat.provider is turn.provider)
        match outcome:
            case Accepted():
                seat.breaker.record(turn.permit, failed=False)
            case Retryable(provider_at_fault=False):
                seat.breaker.release(turn.permit)
            case Retryable() | Unknown():
                seat.breaker.record(turn.permit, failed=True)
            case Throttled(after_s=after_s):
                seat.held_until = max(seat.held_until, self._monotonic() + after_s)
                seat.breaker.release(turn.permit)
            case Rejected():
                # The provider answered, so a probe has shown that it is back.
                if turn.permit is Permit.PROBE:
                    seat.breaker.record(turn.permit, failed=False)

    def cancel(self, turn: Turn[ContentT]) -> None:
        """Give an unused turn back."""
        seat = next(seat for seat in self._seats if seat.provider is turn.provider)
        seat.breaker.release(turn.permit)
