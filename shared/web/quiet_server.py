"""uvicorn's server, quiet at rest."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType

import uvicorn

_TICKS_PER_S = 10
"""Of uvicorn: at each tenth it makes a new Date header."""


class QuietServer(uvicorn.Server):
    """Looks up once a second and at a signal, not ten times a second, which is most of what an idle process
    costs."""

    _wake_up: Callable[[], object] | None = None

    async def main_loop(self) -> None:
        """Until it is told to stop."""
        loop, told, tick = asyncio.get_running_loop(), asyncio.Event(), 0
        self._wake_up = partial(loop.call_soon_threadsafe, told.set)
        while not await self.on_tick(tick):
            tick += _TICKS_PER_S
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), 1.0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        super().handle_exit(sig, frame)
        if self._wake_up is not None:
            self._wake_up()
