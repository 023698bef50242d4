"""A fake server beside tests that are not asynchronous themselves."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

ServerT = TypeVar("ServerT")

_BEGINS_WITHIN_S = 30.0


@contextmanager
def in_a_thread(server: AbstractAsyncContextManager[ServerT]) -> Iterator[ServerT]:
    """Entered and left in an event loop of its own. What its methods set is read between two awaits, so that
    those which only set something may be called from here."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(_BEGINS_WITHIN_S)
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(_BEGINS_WITHIN_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
