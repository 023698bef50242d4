"""RabbitMQ behind the interface: two connections, and what works over them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from aio_pika.abc import AbstractChannel, AbstractConnection

from shared.broker.feed import broadcast_text
from shared.broker.interface import BrokerUnavailable, Consumer, Message, QueueState, Receipt, Subscription
from shared.broker.link import Link
from shared.broker.rabbitmq.connection import (
    PublishSide,
    answer,
    close_connection,
    open_channel,
    open_connection,
    open_publish_side,
)
from shared.broker.rabbitmq.consumer import RabbitConsumer
from shared.broker.rabbitmq.publisher import RabbitPublisher
from shared.broker.rabbitmq.sentinel import Sentinel
from shared.broker.rabbitmq.subscription import RabbitSubscription
from shared.broker.topology import EXCHANGE

_ASK_TIMEOUT_S = 2.0

T = TypeVar("T")


class RabbitBroker:
    """See `Broker`."""

    def __init__(self, url: str, *, client_name: str, publish_timeout_s: float = 10.0) -> None:
        self._url = url
        self._client_name = client_name
        self._publishing: Link[PublishSide] = Link(
            purpose="publish", connect=self._connect_publishing, disconnect=self._disconnect_publishing
        )
        self._consuming: Link[AbstractConnection] = Link(
            purpose="consume", connect=self._connect_consuming, disconnect=close_connection
        )
        self._publisher = RabbitPublisher(self._publishing, timeout_s=publish_timeout_s)
        self._sentinel = Sentinel(url, client_name=client_name)
        self._asking = asyncio.Lock()
        self._questions: AbstractChannel | None = None
        self._consumers: list[RabbitConsumer] = []
        self._subscriptions: list[RabbitSubscription] = []

    async def start(self, *, wait_s: float | None) -> None:
        """See `Broker.start`."""
        # The libraries report every attempt of an outage, with tracebacks; `Link` reports the outage.
        for library in ("aiormq", "aio_pika"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        self._publishing.start()
        if wait_s is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._publishing.wait(), wait_s)

    async def close(self) -> None:
        """See `Broker.close`."""
        await asyncio.gather(*(consumer.abandon() for consumer in self._consumers))
        await asyncio.gather(*(subscription.close() for subscription in self._subscriptions))
        await asyncio.gather(self._publishing.close(), self._consuming.close())

    async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
        """See `Broker.publish`."""
        return await self._publisher.publish(messages)

    def consume(self, queue: str, *, prefetch: int) -> Consumer:
        """See `Broker.consume`."""
        self._consuming.start()
        consumer = RabbitConsumer(
            link=self._consuming, publisher=self._publisher, queue=queue, prefetch=prefetch
        )
        self._consumers = [*(known for known in self._consumers if not known.ended), consumer]
        return consumer

    async def broadcast(self, body: bytes) -> None:
        """See `Broker.broadcast`."""
        await self._publisher.broadcast(broadcast_text(body))

    def subscribe(self) -> Subscription:
        """See `Broker.subscribe`."""
        self._consuming.start()
        subscription = RabbitSubscription(self._consuming)
        self._subscriptions.append(subscription)
        return subscription

    async def queue_state(self, queue: str) -> QueueState:
        """See `Broker.queue_state`."""
        declared = await self._ask(lambda channel: channel.declare_queue(queue, passive=True))
        counted = declared.declaration_result
        return QueueState(
            depth=counted.message_count or 0, oldest_age_s=None, consumers=counted.consumer_count or 0
        )

    async def epoch(self) -> str | None:
        """See `Broker.epoch`."""
        return await self._sentinel.read()

    async def write_epoch(self, epoch: str) -> None:
        """See `Broker.write_epoch`."""
        await self._sentinel.write(epoch)

    async def ping(self) -> None:
        """See `Broker.ping`."""
        await self._ask(lambda channel: channel.declare_exchange(EXCHANGE, passive=True))

    async def _ask(self, question: Callable[[AbstractChannel], Awaitable[T]]) -> T:
        connection = self._publishing.require().connection
        try:
            async with asyncio.timeout(_ASK_TIMEOUT_S), self._asking:
                # Kept, since channels leak a little; asking for what does not exist closes it.
                if self._questions is None or self._questions.is_closed:
                    self._questions = await open_channel(connection)
                return await answer(question(self._questions), timeout_s=_ASK_TIMEOUT_S)
        except TimeoutError as error:
            raise BrokerUnavailable(f"RabbitMQ did not answer within {_ASK_TIMEOUT_S:g} s.") from error

    async def _connect_publishing(self, lost: Callable[[], None]) -> PublishSide:
        return await open_publish_side(self._url, name=f"{self._client_name} publish", lost=lost)

    async def _disconnect_publishing(self, side: PublishSide) -> None:
        await close_connection(side.connection)

    async def _connect_consuming(self, lost: Callable[[], None]) -> AbstractConnection:
        return await open_connection(self._url, name=f"{self._client_name} consume", lost=lost)
