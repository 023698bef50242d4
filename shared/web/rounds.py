"""A share of the event loop's time for something that comes in masses."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

SHARE = 0.3
"""Of the loop's time."""
COST_S = 50e-6
"""What each takes once it has its turn."""


class Rounds:
    """Lets so many pass in each round of the event loop, in their order, that they take `SHARE` of its time:
    by what else the round before has taken; `least` and `most` pass whatever it took."""

    def __init__(self, *, least: int, most: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._least = least
        self._most = most
        self._monotonic = monotonic
        self._each = self._left = least
        self._began_s = 0.0
        self._passed = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turning = False

    async def turn(self) -> None:
        """Wait for a round in which there is room."""
        if not self._turning:
            self._turning, self._began_s = True, self._monotonic()
            asyncio.get_running_loop().call_soon(self._next)
        if self._left:
            self._left -= 1
            self._passed += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _next(self) -> None:
        self._turning = self._left < self._each
        now_s = self._monotonic()
        # Without what they took themselves, or they would feed on it.
        others_s = now_s - self._began_s - self._passed * COST_S
        share = round(others_s * SHARE / COST_S)
        self._began_s = now_s
        self._left = self._each = min(max(share, self._least), self._most)
        self._passed = 0
        while self._left and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
                self._passed += 1
        if self._turning:
            asyncio.get_running_loop().call_soon(self._next)
