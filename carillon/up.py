"""`carillon up`: everything, in order, until it is told to stop."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable

from carillon.console import MergedLog
from carillon.home import Home
from carillon.installation import Installation
from carillon.settings import UpSettings
from carillon.welcome import welcome_text

_SAME_WISH_S = 1.0


async def up(settings: UpSettings, home: Home) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP; a second one kills instead of waiting. Raises SetupError."""
    log = MergedLog()
    installation = Installation(settings, home, log=log)
    async with stopped_by_signals(installation.hurry):
        try:
            credentials = await installation.start()
            log.plain(welcome_text(addresses=installation.addresses, credentials=credentials))
            await asyncio.Event().wait()
        finally:
            await installation.stop()


@contextlib.asynccontextmanager
async def stopped_by_signals(
    hurry: asyncio.Event, *, time_s: Callable[[], float] = time.monotonic
) -> AsyncIterator[None]:
    """The first signal cancels the body, further ones set `hurry`; the body's own end is left alone."""
    loop = asyncio.get_running_loop()
    body = asyncio.current_task()
    told_at: float | None = None

    def on_signal() -> None:
        nonlocal told_at
        if told_at is None and body is not None:
            told_at = time_s()
            body.cancel()
        # `make` passes on a signal that its whole group got: that is one wish, not two.
        elif told_at is not None and time_s() - told_at > _SAME_WISH_S:
            hurry.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    except asyncio.CancelledError:
        if told_at is None:
            raise
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
