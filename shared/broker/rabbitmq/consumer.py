"""Consuming: a channel of its own per consumer, opened anew whenever it is lost.

The callback only puts messages aside, as aio-pika's `queue.iterator()` does: a callback that worked on them
would be cancelled in the middle of a provider call when the connection drops. It is not that iterator,
because closing must hand back what was prefetched while what was handed out can still be finished.
"""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator
from contextlib import suppress

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage

from shared.broker.inbox import Inbox
from shared.broker.interface import BrokerUnavailable, Delivery
from shared.broker.link import Backoff, Link
from shared.broker.rabbitmq.connection import CLOSE_TIMEOUT_S, STEP_TIMEOUT_S, answer, open_channel
from shared.broker.rabbitmq.declaration import declare_exchange, declare_work_queue
from shared.broker.rabbitmq.intake import Intake, RabbitDelivery
from shared.broker.rabbitmq.publisher import RabbitPublisher

log = structlog.get_logger()

_CLOSE_TIMEOUT_S = 3.0


class RabbitConsumer:
    """See `Consumer`."""

    def __init__(
        self, *, link: Link[AbstractConnection], publisher: RabbitPublisher, queue: str, prefetch: int
    ) -> None:
        self._link = link
        self._publisher = publisher
        self._queue = queue
        self._prefetch = prefetch
        self._inbox: Inbox[RabbitDelivery] = Inbox(prefetch=prefetch)
        self._intake: Intake | None = None
        self._closing = asyncio.Event()
        self._to_hand_back: list[RabbitDelivery] = []
        self._handed_back = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"consume-{queue}")

    def __aiter__(self) -> AsyncIterator[Delivery]:
        return self._inbox

    @property
    def alive(self) -> bool:
        """See `Consumer.alive`: RabbitMQ has confirmed `basic.consume`, and the channel stands."""
        return self._intake is not None and not self._intake.lost.is_set() and not self._inbox.closed

    @property
    def ended(self) -> bool:
        """Whether it is closed, and all that it handed out is finished."""
        return self._task.done()

    def pause(self) -> None:
        """See `Consumer.pause`."""
        self._inbox.pause()

    def resume(self, *, at_most: int | None = None) -> None:
        """See `Consumer.resume`."""
        self._inbox.resume(at_most=at_most)

    async def close(self) -> None:
        """See `Consumer.close`. The channel stays until all that was handed out is finished."""
        self._to_hand_back += self._inbox.close()
        if self._intake is None:
            await self.abandon()
            return
        self._closing.set()
        handed_back = asyncio.create_task(self._handed_back.wait())
        await asyncio.wait({handed_back, self._task}, timeout=_CLOSE_TIMEOUT_S, return_when=FIRST_COMPLETED)
        handed_back.cancel()

    async def abandon(self) -> None:
        """End at once: what is unfinished goes back, since its channel closes."""
        self._inbox.close()
        if self._intake is not None and not self._intake.lost.is_set():
            with suppress(BrokerUnavailable):
                await answer(self._intake.flush(), timeout_s=CLOSE_TIMEOUT_S)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        backoff = Backoff()
        while not self._inbox.closed:
            connection = await self._link.wait()
            try:
                intake, underlay, tag = await self._open(connection)
            except Exception as error:
                # Whatever it is: a consumer that ended here would look like an empty queue, for ever.
                unexpected = None if isinstance(error, BrokerUnavailable) else error
                log.warning("consumer.not_open", queue=self._queue, reason=str(error), exc_info=unexpected)
                await asyncio.sleep(backoff.next_s())
                continue
            backoff.reset()
            log.info("consumer.open", queue=self._queue)
            self._intake = intake
            sending = asyncio.create_task(intake.run())
            closing = asyncio.create_task(self._closing.wait())
            try:
                await asyncio.wait({sending, closing}, return_when=FIRST_COMPLETED)
                if self._closing.is_set():
                    await self._hand_back(underlay, tag)
                    intake.retire()
                    await asyncio.wait({sending})
            finally:
                self._intake = None
                closing.cancel()
                sending.cancel()
                await asyncio.gather(sending, closing, return_exceptions=True)
                if not self._inbox.closed:
                    # Never handed out, and given out again by the broker.
                    self._inbox.clear()
            if not self._inbox.closed:
                log.warning("consumer.lost", queue=self._queue)
                await asyncio.sleep(backoff.next_s())

    async def _hand_back(self, underlay: AbstractChannel, tag: str) -> None:
        # Cancelled first: otherwise the broker would hand the same messages straight back to us.
        with suppress(BrokerUnavailable):
            await answer(underlay.basic_cancel(tag, timeout=CLOSE_TIMEOUT_S), timeout_s=CLOSE_TIMEOUT_S)
            for delivery in self._to_hand_back:
                await delivery.hand_back()
        self._handed_back.set()

    async def _open(self, connection: AbstractConnection) -> tuple[Intake, AbstractChannel, str]:
        channel = await open_channel(connection)
        intake = Intake(channel)
        try:
            await answer(channel.set_qos(prefetch_count=self._prefetch), timeout_s=STEP_TIMEOUT_S)
            # Whichever side is first declares: consumers do not wait for a publisher to be connected.
            await answer(declare_exchange(channel, timeout_s=STEP_TIMEOUT_S), timeout_s=STEP_TIMEOUT_S)
            queue = await answer(
                declare_work_queue(channel, self._queue, timeout_s=STEP_TIMEOUT_S),
                timeout_s=2 * STEP_TIMEOUT_S,
            )
            underlay = await channel.get_underlay_channel()
            # The broker cancels a consumer when its queue is deleted or moves to another node.
            underlay.on_consumer_cancel_callbacks.add(lambda _: intake.lost.set())

            async def put_aside(message: DeliveredMessage) -> None:
                self._put_aside(message, intake)

            # aiormq's messages as they are: aio-pika's take another task and forty attributes for each.
            consuming = await answer(
                underlay.basic_consume(queue.name, put_aside, timeout=STEP_TIMEOUT_S),
                timeout_s=STEP_TIMEOUT_S,
            )
        except BaseException:
            with suppress(BrokerUnavailable):
                await answer(channel.close(), timeout_s=CLOSE_TIMEOUT_S)
            raise
        return intake, underlay, consuming.consumer_tag or ""

    def _put_aside(self, message: DeliveredMessage, intake: Intake) -> None:
        if intake.lost.is_set():
            return
        delivery = RabbitDelivery(
            message, queue=self._queue, intake=intake, inbox=self._inbox, publisher=self._publisher
        )
        intake.received()
        if not self._inbox.put(delivery):
            self._to_hand_back.append(delivery)
