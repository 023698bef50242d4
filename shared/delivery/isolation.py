"""Who shares the process: ordinary messages with each other, a suspected one with nobody."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress


class Isolation:
    """`together()` and `alone()` are to be entered by `async with`.

    Whoever wants to be alone waits until all others are out; after it those who came meanwhile go in before
    the next one, so that many suspects do not keep the others out for good: each delays them until what was
    in hand has been handled, and for as long as it takes itself.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._alone = False
        self._suspects: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    def together(self) -> AbstractAsyncContextManager[None]:
        """Beside others."""
        return _Together(self)

    def alone(self) -> AbstractAsyncContextManager[None]:
        """With nobody beside."""
        return _Alone(self)

    async def enter(self) -> None:
        """Go in beside others."""
        if not self._alone and not self._suspects:
            self._inside += 1
            return
        await self._wait(self._others, self.leave)

    def leave(self) -> None:
        """Go out again."""
        self._inside -= 1
        self._let_in()

    async def enter_alone(self) -> None:
        """Go in with nobody beside."""
        if not self._alone and not self._inside and not self._suspects:
            self._alone = True
            return
        await self._wait(self._suspects, self.leave_alone)

    def leave_alone(self) -> None:
        """Go out again."""
        self._alone = False
        while self._others:
            self._inside += _grant(self._others)
        self._let_in()

    async def _wait(self, line: deque[asyncio.Future[None]], give_back: Callable[[], None]) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                with suppress(ValueError):
                    line.remove(place)
                self._let_in()
            else:
                give_back()  # let in and cancelled at the same moment
            raise

    def _let_in(self) -> None:
        while self._suspects and not self._inside and not self._alone:
            self._alone = _grant(self._suspects)
        while self._others and not self._suspects and not self._alone:
            self._inside += _grant(self._others)


def _grant(line: deque[asyncio.Future[None]]) -> bool:
    """Let the first of the line in; False where it has gone away."""
    place = line.popleft()
    if place.done():
        return False
    place.set_result(None)
    return True


class _Together:
    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation

    async def __aenter__(self) -> None:
        await self._isolation.enter()

    async def __aexit__(self, *_: object) -> None:
        self._isolation.leave()


class _Alone:
    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation

    async def __aenter__(self) -> None:
        await self._isolation.enter_alone()

    async def __aexit__(self, *_: object) -> None:
        self._isolation.leave_alone()
