"""One consuming channel, and the deliveries that came over it."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import structlog
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError
from aiormq.abc import DeliveredMessage

from shared.broker.inbox import Inbox
from shared.broker.interface import BrokerUnavailable, NotRouted
from shared.broker.link import Backoff
from shared.broker.rabbitmq.acknowledgements import Acknowledgements
from shared.broker.rabbitmq.connection import CLOSE_TIMEOUT_S, answer
from shared.broker.rabbitmq.publisher import Envelope, RabbitPublisher
from shared.broker.topology import EXCHANGE, FAILED_QUEUE, retry_queue

log = structlog.get_logger()


class Intake:
    """A channel from the moment it consumes until it is lost, with the acknowledgements on their way.

    A delivery is fenced by its intake: once that is lost, the broker gives the message out again.
    """

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel
        self.lost = asyncio.Event()
        self._acknowledgements = Acknowledgements()
        self._unfinished = 0
        self._retired = False
        self._due = asyncio.Event()
        channel.close_callbacks.add(lambda *_: self.lost.set())

    def received(self) -> None:
        """One more delivery came."""
        self._unfinished += 1

    def finish(self, tag: int, *, settled: bool = False) -> None:
        """A delivery is finished, and acknowledged soon unless the broker has been told already."""
        self._unfinished -= 1
        self._acknowledgements.finish(tag, settled=settled)
        self._due.set()

    def retire(self) -> None:
        """Nothing new comes: close the channel as soon as all is finished."""
        self._retired = True
        self._due.set()

    async def flush(self) -> None:
        """Send the acknowledgements that are due. Raises what the lost channel raises."""
        underlay = await self.channel.get_underlay_channel()
        for tag, everything_up_to in self._acknowledgements.frames():
            await underlay.basic_ack(tag, multiple=everything_up_to)

    async def run(self) -> None:
        """Send acknowledgements until the channel is lost, or retired and done with."""
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            while not self.lost.is_set():
                due = asyncio.ensure_future(self._due.wait())
                try:
                    await asyncio.wait({due, lost}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    due.cancel()
                self._due.clear()
                await self.flush()
                if self._retired and self._unfinished == 0:
                    return
        except (AMQPError, OSError, RuntimeError) as error:
            log.info("broker.channel_lost", reason=type(error).__name__)
        finally:
            lost.cancel()
            self.lost.set()
            with suppress(BrokerUnavailable):
                await answer(self.channel.close(), timeout_s=CLOSE_TIMEOUT_S)


class RabbitDelivery:
    """See `Delivery`."""

    def __init__(
        self,
        message: DeliveredMessage,
        *,
        queue: str,
        intake: Intake,
        inbox: "Inbox[RabbitDelivery]",
        publisher: RabbitPublisher,
    ) -> None:
        self._message = message
        self._queue = queue
        self._intake = intake
        self._inbox = inbox
        self._publisher = publisher
        self._finished = False

    @property
    def body(self) -> bytes:
        """See `Delivery.body`."""
        return self._message.body

    @property
    def headers(self) -> dict[str, str]:
        """See `Delivery.headers`; what is no text, or the broker's own (`x-…`), is left out."""
        return {
            name: value
            for name, value in self._headers.items()
            if isinstance(value, str) and not name.startswith("x-")
        }

    @property
    def queue(self) -> str:
        """See `Delivery.queue`."""
        return self._queue

    @property
    def deliveries(self) -> int:
        """See `Delivery.deliveries`: quorum queues count redeliveries in `x-delivery-count`."""
        counted = self._headers.get("x-delivery-count")
        if isinstance(counted, int) and counted > 0:
            return counted + 1
        return 2 if self._message.redelivered else 1

    async def ack(self) -> None:
        """See `Delivery.ack`."""
        if not self._finished:
            self._finish()

    async def retry_later(self, step: int) -> None:
        """See `Delivery.retry_later`: a copy goes into the delay queue, then the original is acked."""
        await self._move(
            Envelope(
                exchange=retry_queue(step), routing_key=self._queue, body=self.body, headers=self.headers
            )
        )

    async def park(self, body: bytes) -> None:
        """See `Delivery.park`."""
        await self._move(
            Envelope(exchange=EXCHANGE, routing_key=FAILED_QUEUE, body=body, headers=self.headers)
        )

    async def hand_back(self) -> None:
        """Return a message that was never handed out, when the consumer closes and at no other time: to
        requeue counts towards the delivery limit of RabbitMQ 4, and in a loop it runs hot. Raises
        BrokerUnavailable, and the message goes back with the connection."""
        nack = self._message.channel.basic_nack(self._tag, requeue=True)
        await answer(nack, timeout_s=CLOSE_TIMEOUT_S)
        self._intake.finish(self._tag, settled=True)

    @property
    def _headers(self) -> Mapping[str, object]:
        return self._message.header.properties.headers or {}

    @property
    def _tag(self) -> int:
        return self._message.delivery_tag or 0

    def _finish(self) -> None:
        self._finished = True
        self._intake.finish(self._tag)
        self._inbox.finished()

    async def _move(self, envelope: Envelope) -> None:
        if self._finished:
            return
        backoff = Backoff()
        while not self._intake.lost.is_set():
            (receipt,) = await self._publisher.send([envelope])
            if receipt.error is None:
                break
            if not isinstance(receipt.error, BrokerUnavailable | NotRouted):
                raise receipt.error
            log.warning("delivery.move_delayed", queue=self._queue, reason=str(receipt.error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._intake.lost.wait(), backoff.next_s())
        self._finish()
