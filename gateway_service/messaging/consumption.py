"""Takes messages from one queue and sees each to its end in a task of its own."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.broker.interface import Broker, Consumer, Delivery
from shared.broker.presence import Presence, hide_presence, show_presence
from shared.database.errors import DatabaseError

log = structlog.get_logger()

STOP_WITHIN_S = 10.0
LONGEST_STEP = 3
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0


class Consumption:
    """`handle` finishes a delivery, by ack or otherwise. One that raises has a defect: its message
    comes back after the longest delay."""

    def __init__(
        self, broker: Broker, queue: str, handle: Callable[[Delivery], Awaitable[None]], *, prefetch: int
    ) -> None:
        self._broker = broker
        self._queue = queue
        self._handle = handle
        self._prefetch = prefetch
        self._consumer: Consumer | None = None
        self._handling: set[asyncio.Task[None]] = set()

    @property
    def alive(self) -> bool:
        """Whether the broker holds this consumer right now."""
        return self._consumer is not None and self._consumer.alive

    async def run(self) -> None:
        """Consume until the consumer is closed or this is cancelled."""
        if self._consumer is None:
            self._consumer = self._broker.consume(self._queue, prefetch=self._prefetch)
            show_presence(self._queue, self._presence)
        async for delivery in self._consumer:
            task = asyncio.create_task(self._finish(delivery))
            self._handling.add(task)
            task.add_done_callback(self._handling.discard)

    async def close(self) -> None:
        """Take nothing more, and finish what was taken, within 10 s."""
        if self._consumer is not None:
            hide_presence(self._queue)
            await self._consumer.close()
        if self._handling:
            await asyncio.wait(self._handling, timeout=STOP_WITHIN_S)
        for task in tuple(self._handling):
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)

    def _presence(self) -> Presence:
        return Presence.HELD if self.alive else Presence.MISSED

    async def _finish(self, delivery: Delivery) -> None:
        try:
            await self._handle(delivery)
        except Exception:
            log.exception("message.not_handled", queue=self._queue)
            # Left as it is, it would hold a place among those in hand for ever.
            await delivery.retry_later(LONGEST_STEP)


async def until_stored(store: Callable[[], Awaitable[None]]) -> None:
    """Repeat `store` until PostgreSQL takes it: a message must not be lost to an absent database."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            await store()
            return
        except DatabaseError:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
