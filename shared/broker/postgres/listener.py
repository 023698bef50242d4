"""Notifications: hints that a queue has something, and the broadcasts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import asyncpg
import structlog

from shared.broker.feed import Feed
from shared.broker.interface import BrokerUnavailable
from shared.broker.postgres.publisher import WAKE_CHANNEL
from shared.broker.postgres.session import Session

log = structlog.get_logger()

BROADCAST_CHANNEL = "carillon_broker_broadcast"
_LOOK_EVERY_S = 5.0
_TIMEOUT_S = 2.0


class Listener:
    """Everything that is listened to on one session. `wake` gets the name of a queue, or None for all."""

    def __init__(self, wake: "Callable[[str | None], None]") -> None:
        self._wake = wake
        self._feeds: set[Feed] = set()

    async def prepare(self, connection: "asyncpg.Connection") -> None:
        """Listen on a new connection; what was sent before it is missed."""
        await connection.add_listener(WAKE_CHANNEL, self._on_wake)
        await connection.add_listener(BROADCAST_CHANNEL, self._on_broadcast)
        self._wake(None)
        for feed in self._feeds:
            feed.gap()

    def add(self, feed: Feed, *, listening: bool) -> None:
        """Broadcasts go into this feed too; `listening` says whether a connection stands already."""
        self._feeds.add(feed)
        if listening:
            feed.gap()

    def remove(self, feed: Feed) -> None:
        """No more broadcasts into this feed."""
        self._feeds.discard(feed)

    async def watch(self, session: Session) -> None:
        """Look now and then whether the other side is there: who only listens does not notice otherwise."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if session.link.connection is not None:
                with suppress(BrokerUnavailable):
                    await session.run(lambda c: c.execute("SELECT 1"), timeout_s=_TIMEOUT_S)

    def _on_wake(self, _connection: object, _pid: int, _channel: str, queue: str) -> None:
        self._wake(queue)

    def _on_broadcast(self, _connection: object, _pid: int, _channel: str, text: str) -> None:
        for feed in self._feeds:
            feed.put(text.encode())


class PostgresSubscription:
    """See `Subscription`."""

    def __init__(self, listener: Listener, *, listening: bool) -> None:
        self._listener = listener
        self._feed = Feed()
        listener.add(self._feed, listening=listening)

    def __aiter__(self) -> AsyncIterator[bytes | None]:
        return self._feed

    async def close(self) -> None:
        """See `Subscription.close`."""
        self._listener.remove(self._feed)
        self._feed.close()
