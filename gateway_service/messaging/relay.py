"""Publishes at once what was just committed and is due."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence

import structlog

from gateway_service.domain.counting import RELEASED
from gateway_service.domain.release import release_message
from gateway_service.storage.acceptance import HAND_OFF_GRACE_S
from gateway_service.storage.notifications import Notification
from gateway_service.storage.outbox import RunKey, mark_published
from shared.broker.interface import Broker
from shared.contracts.http.notification_answers import NotificationStatus
from shared.database.engine import Database
from shared.database.errors import DatabaseUnavailable

log = structlog.get_logger()

MAX_BATCH = 200
MAX_WAITING = 20_000
AT_ONCE = 2
_STALE_S = HAND_OFF_GRACE_S * 0.75
"""What has waited longer is about to be taken by the sweep."""
_STOP_WITHIN_S = 5.0


class Relay:
    """Holds what was committed in memory, for a second or so: it is only a short cut past the sweep, which
    finds whatever is dropped here, or lost with the process."""

    def __init__(self, database: Database, broker: Broker, *, ask_after_s: float) -> None:
        self._database = database
        self._broker = broker
        self._ask_after_s = ask_after_s
        self._waiting: deque[tuple[float, Notification]] = deque()
        self._some = asyncio.Event()
        self._publishing = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def offer(self, notifications: Sequence[Notification]) -> None:
        """Publish soon those that are due; more than `MAX_WAITING` are left to the sweep."""
        now = time.monotonic()
        for notification in notifications:
            if notification.status is NotificationStatus.ACCEPTED and len(self._waiting) < MAX_WAITING:
                self._waiting.append((now, notification))
        if self._waiting:
            self._some.set()
            self._idle.clear()

    async def run(self) -> None:
        """Publish until cancelled; several may run at once."""
        while True:
            await self._some.wait()
            batch = self._take()
            if not self._waiting:
                self._some.clear()
            if batch:
                self._publishing += 1
                try:
                    await self._publish(batch)
                finally:
                    self._publishing -= 1
            if not self._waiting and not self._publishing:
                self._idle.set()

    async def drain(self) -> None:
        """Wait until all that was offered is published, but not for a broker that does not answer."""
        try:
            await asyncio.wait_for(self._idle.wait(), _STOP_WITHIN_S)
        except TimeoutError:
            log.warning("relay.not_drained", waiting=len(self._waiting))

    def _take(self) -> list[Notification]:
        oldest = time.monotonic() - _STALE_S
        batch: list[Notification] = []
        while self._waiting and len(batch) < MAX_BATCH:
            offered_at, notification = self._waiting.popleft()
            if offered_at >= oldest:
                batch.append(notification)
        return batch

    async def _publish(self, batch: list[Notification]) -> None:
        taken = await publish_and_mark(
            batch, database=self._database, broker=self._broker, ask_after_s=self._ask_after_s, by="relay"
        )
        if len(taken) < len(batch):
            log.warning("relay.left_to_sweep", count=len(batch) - len(taken))


async def publish_and_mark(
    batch: Sequence[Notification], *, database: Database, broker: Broker, ask_after_s: float, by: str
) -> set[RunKey]:
    """Publish, and note what the broker has confirmed, which is the answer. A database that is away now
    costs a second copy later, which is harmless."""
    began = time.monotonic()
    receipts = await broker.publish([release_message(notification) for notification in batch])
    confirmed = [
        notification for notification, receipt in zip(batch, receipts, strict=True) if receipt.error is None
    ]
    keys = [(notification.id, notification.run) for notification in confirmed]
    if keys:
        try:
            async with database.connection() as connection:
                await mark_published(
                    connection, keys, ago_s=time.monotonic() - began, ask_after_s=ask_after_s
                )
        except DatabaseUnavailable:
            log.warning("release.not_marked", count=len(keys))
    for notification in confirmed:
        RELEASED.labels(notification.channel.value, by).inc()
    return set(keys)
