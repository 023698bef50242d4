"""Broadcasts: a queue of this subscription's own behind a fanout exchange, gone with its connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import structlog
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from shared.broker.feed import Feed
from shared.broker.interface import BrokerUnavailable
from shared.broker.link import Backoff, Link
from shared.broker.rabbitmq.connection import CLOSE_TIMEOUT_S, STEP_TIMEOUT_S, answer, open_channel
from shared.broker.topology import BROADCAST_EXCHANGE

log = structlog.get_logger()


class RabbitSubscription:
    """See `Subscription`."""

    def __init__(self, link: Link[AbstractConnection]) -> None:
        self._link = link
        self._feed = Feed()
        self._task = asyncio.create_task(self._run(), name="broker-subscription")

    def __aiter__(self) -> AsyncIterator[bytes | None]:
        return self._feed

    async def close(self) -> None:
        """See `Subscription.close`."""
        self._feed.close()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            connection = await self._link.wait()
            lost = asyncio.Event()
            try:
                channel = await open_channel(connection)
                try:
                    await self._listen(channel, lost)
                    backoff.reset()
                    self._feed.gap()
                    await lost.wait()
                finally:
                    with suppress(BrokerUnavailable):
                        await answer(channel.close(), timeout_s=CLOSE_TIMEOUT_S)
            except BrokerUnavailable as error:
                log.warning("subscription.not_open", reason=str(error))
            except Exception:
                log.exception("subscription.failed")
            await asyncio.sleep(backoff.next_s())

    async def _listen(self, channel: AbstractChannel, lost: asyncio.Event) -> None:
        channel.close_callbacks.add(lambda *_: lost.set())
        exchange = await answer(
            channel.declare_exchange(BROADCAST_EXCHANGE, ExchangeType.FANOUT, durable=True),
            timeout_s=STEP_TIMEOUT_S,
        )
        queue = await answer(channel.declare_queue(exclusive=True), timeout_s=STEP_TIMEOUT_S)
        await answer(queue.bind(exchange), timeout_s=STEP_TIMEOUT_S)
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda _: lost.set())

        async def put(message: AbstractIncomingMessage) -> None:
            self._feed.put(message.body)

        await answer(queue.consume(put, no_ack=True), timeout_s=STEP_TIMEOUT_S)
