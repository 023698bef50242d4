"""One question at a time for each key: whoever asks meanwhile gets the same answer."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class Flights(Generic[KeyT, ValueT]):
    """Calls under way by key. A caller that is cancelled leaves the call to the others."""

    def __init__(self) -> None:
        self._current: dict[KeyT, asyncio.Task[ValueT]] = {}
        self._all: set[asyncio.Task[ValueT]] = set()

    def join(self, key: KeyT, call: Callable[[], Coroutine[Any, Any, ValueT]]) -> Awaitable[ValueT]:
        """The answer of the call under way for `key`, or of a new one. Raises what the call raises."""
        return asyncio.shield(self.launch(key, call))

    def launch(self, key: KeyT, call: Callable[[], Coroutine[Any, Any, ValueT]]) -> asyncio.Task[ValueT]:
        """The call under way for `key`, started where there is none."""
        flight = self._current.get(key)
        if flight is None:
            flight = asyncio.create_task(call())
            self._current[key] = flight
            self._all.add(flight)
            flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    def owns_current(self, key: KeyT) -> bool:
        """Whether the running task is the call for `key`, and has not been disowned."""
        return self._current.get(key) is asyncio.current_task()

    def disown(self, is_meant: Callable[[KeyT], bool]) -> None:
        """Let the calls for these keys end for those who wait, but for nobody who comes now."""
        for key in [key for key in self._current if is_meant(key)]:
            del self._current[key]

    async def close(self) -> None:
        """Cancel what is under way."""
        flights = list(self._all)
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _landed(self, key: KeyT, flight: asyncio.Task[ValueT]) -> None:
        self._all.discard(flight)
        if self._current.get(key) is flight:
            del self._current[key]
        if not flight.cancelled():
            flight.exception()  # looked at here, for a call that nobody waits for any more
