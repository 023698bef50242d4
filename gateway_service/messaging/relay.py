"""Publishes at once what was just committed and is due."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence

import structlog

from gateway_service.domain.counting import RELEASED
from gateway_service.domain.release import release_message
from gateway_service.messaging.postmarks import Postmarks
from gateway_service.storage.acceptance import HAND_OFF_GRACE_S
from gateway_service.storage.notifications import Notification
from gateway_service.storage.outbox import RunKey
from shared.broker.interface import Broker
from shared.contracts.channels import Lane
from shared.contracts.http.notification_answers import NotificationStatus
from shared.process.crash_points import CrashPoint, reach

log = structlog.get_logger()

_Waiting = deque[tuple[float, Notification]]
MAX_BATCH = 200
MAX_WAITING = 20_000
AT_ONCE = 2
_STALE_S = HAND_OFF_GRACE_S * 0.75
"""What has waited longer is about to be taken by the sweep."""
_STOP_WITHIN_S = 5.0


class Relay:
    """Holds what was committed in memory, for a second or so: it is only a short cut past the sweep, which
    finds whatever is dropped here, or lost with the process."""

    def __init__(self, broker: Broker, postmarks: Postmarks) -> None:
        self._broker = broker
        self._postmarks = postmarks
        self._urgent: _Waiting = deque()
        self._others: _Waiting = deque()
        self._some = asyncio.Event()
        self._publishing = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """How many are to be published."""
        return len(self._urgent) + len(self._others)

    def offer(self, notifications: Sequence[Notification]) -> None:
        """Publish soon those that are due, urgent ones first; more than `MAX_WAITING` of either are left to
        the sweep."""
        now = time.monotonic()
        for notification in notifications:
            line = self._urgent if notification.lane is Lane.URGENT else self._others
            if notification.status is NotificationStatus.ACCEPTED and len(line) < MAX_WAITING:
                line.append((now, notification))
        if self.waiting:
            self._some.set()
            self._idle.clear()

    async def run(self) -> None:
        """Publish until cancelled; several may run at once."""
        while True:
            await self._some.wait()
            batch = self._take()
            if not self.waiting:
                self._some.clear()
            if batch:
                self._publishing += 1
                try:
                    await self._publish(batch)
                finally:
                    self._publishing -= 1
            if not self.waiting and not self._publishing:
                self._idle.set()

    async def drain(self) -> None:
        """Wait until all that was offered is published, but not for a broker that does not answer."""
        try:
            await asyncio.wait_for(self._idle.wait(), _STOP_WITHIN_S)
        except TimeoutError:
            log.warning("relay.not_drained", waiting=self.waiting)

    def _take(self) -> list[Notification]:
        oldest = time.monotonic() - _STALE_S
        batch: list[Notification] = []
        for line in (self._urgent, self._others):
            while line and len(batch) < MAX_BATCH:
                offered_at, notification = line.popleft()
                if offered_at >= oldest:
                    batch.append(notification)
        return batch

    async def _publish(self, batch: list[Notification]) -> None:
        taken = await publish(batch, broker=self._broker, postmarks=self._postmarks, by="relay")
        if len(taken) < len(batch):
            log.warning("relay.left_to_sweep", count=len(batch) - len(taken))


async def publish(
    batch: Sequence[Notification], *, broker: Broker, postmarks: Postmarks, by: str
) -> set[RunKey]:
    """Publish, and have noted what the broker has confirmed, which is the answer."""
    began = time.monotonic()
    receipts = await broker.publish([release_message(notification) for notification in batch])
    confirmed = [
        notification for notification, receipt in zip(batch, receipts, strict=True) if receipt.error is None
    ]
    if confirmed:
        reach(CrashPoint.RELAY_CONFIRMED)
    keys = [(notification.id, notification.run) for notification in confirmed]
    postmarks.add(keys, since=began)
    for notification in confirmed:
        RELEASED.labels(notification.channel.value, by).inc()
    return set(keys)
