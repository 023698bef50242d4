"""Takes messages from a channel's lanes and sees each to its end at the broker."""

import asyncio
import traceback
from functools import partial
from typing import Generic, TypeVar

import structlog

from shared.broker.decoding import Undecodable, decode
from shared.broker.interface import Delivery
from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import DeliveryRequested
from shared.delivery import metrics
from shared.delivery.lanes import Lanes
from shared.delivery.trials import Trials
from shared.delivery.worker import Worker
from shared.process.correlation import bind_correlation_id
from shared.process.crash_points import CrashPoint, reach
from shared.process.tasks import BackgroundTasks

log = structlog.get_logger()
ContentT = TypeVar("ContentT")

LAST_MOMENTS_S = 2.0


class Intake(Generic[ContentT]):
    """A message is acked only after what became of it stands in the ledger."""

    def __init__(
        self, *, lanes: Lanes, channel: Channel, worker: Worker[ContentT], trials: Trials[ContentT]
    ) -> None:
        self._lanes = lanes
        self._channel = channel
        self._worker = worker
        self._trials = trials
        self._loops = BackgroundTasks()
        self._handling: set[asyncio.Task[None]] = set()

    @property
    def alive(self) -> bool:
        """See `Lanes.alive`."""
        return self._lanes.alive

    def start(self) -> None:
        """Begin to consume."""
        self._lanes.open()
        self._loops.start("lanes", self._lanes.regulate)
        for lane in Lane:
            self._loops.start(f"consume.{lane.value}", partial(self._consume, lane))

    async def close(self) -> None:
        """Take nothing more, and hand back what has not been claimed; attempts in flight go on."""
        await self._loops.close()
        await self._lanes.close()
        if self._handling:
            # Most end within moments; what waits (for a peer, a provider, its time) goes back to the broker.
            await asyncio.wait(self._handling, timeout=LAST_MOMENTS_S)
        for task in tuple(self._handling):
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)

    async def _consume(self, lane: Lane) -> None:
        async for delivery in self._lanes.deliveries(lane):
            task = asyncio.create_task(self._handle(delivery, lane))
            self._handling.add(task)
            task.add_done_callback(self._handling.discard)

    async def _handle(self, delivery: Delivery, lane: Lane) -> None:
        with metrics.IN_FLIGHT.labels(self._channel.value, lane.value).track_inprogress():
            try:
                request = decode(delivery.body, DeliveryRequested)
            except Undecodable:
                metrics.UNDECODABLE.labels(self._channel.value).inc()
                log.warning("message.undecodable", queue=delivery.queue, bytes=len(delivery.body))
                await delivery.park(delivery.body)
                return
            bind_correlation_id(request.correlation_id)
            reach(CrashPoint.MESSAGE_TAKEN)
            try:
                times = delivery.deliveries
                step = await self._trials.deliver(request, delivery.body, times=times, known=times > 1)
            except Exception:
                # What may be expected is an outcome; this is a defect of ours with this one message.
                log.exception("delivery.defect", notification_id=str(request.notification_id))
                await self._worker.fail(request, delivery.body, stack=traceback.format_exc())
                step = None
            if step is None:
                await delivery.ack()
            else:
                await delivery.retry_later(step)
            reach(CrashPoint.MESSAGE_FINISHED)
