"""Takes what failed from failed.queue: kept for an operator, and the status set, in one transaction."""

from functools import partial

import structlog

from gateway_service.domain.counting import PARKED
from gateway_service.domain.reporting import take_over
from gateway_service.messaging.consumption import until_stored
from gateway_service.messaging.receipts import Receipts
from gateway_service.storage.failures import FailedDelivery, UnreadableMessage, keep_unreadable
from shared.broker.decoding import Undecodable, decode
from shared.broker.interface import Delivery
from shared.contracts.delivery import DeliveryParked
from shared.database.engine import Database
from shared.process.clock import Clock
from shared.process.correlation import bind_correlation_id
from shared.process.crash_points import CrashPoint, reach
from shared.process.identifiers import uuid7

log = structlog.get_logger()

PREFETCH = 50


class Failures:
    """A message is acked once it is committed; what cannot be decoded or stored is kept with its bytes."""

    def __init__(self, database: Database, receipts: Receipts, clock: Clock) -> None:
        self._database = database
        self._receipts = receipts
        self._clock = clock

    async def handle(self, delivery: Delivery) -> None:
        """See one message to its end."""
        try:
            parked = decode(delivery.body, DeliveryParked)
        except Undecodable:
            await self._keep_bytes(
                delivery, kind="message.undecodable", error="Not a message of this version"
            )
            return
        bind_correlation_id(parked.report.correlation_id)
        try:
            await until_stored(partial(self._take_over, parked))
        except Exception:
            log.exception("failure.not_storable", notification_id=str(parked.report.notification_id))
            await self._keep_bytes(
                delivery, kind="message.not_storable", error="PostgreSQL refuses what it holds"
            )
            self._receipts.offer(parked.report)  # the ledger need not repeat it
            return
        PARKED.labels("delivery").inc()
        log.warning(
            "notification.parked",
            notification_id=str(parked.report.notification_id),
            error_kind=None if parked.report.problem is None else parked.report.problem.kind,
        )
        self._receipts.offer(parked.report)
        await delivery.ack()

    async def _take_over(self, parked: DeliveryParked) -> None:
        now = self._clock.now()
        failure = FailedDelivery(id=uuid7(), parked=parked, at=now)
        await take_over(self._database, [parked.report], now=now, failure=failure)
        reach(CrashPoint.FAILURE_COMMITTED)

    async def _keep_bytes(self, delivery: Delivery, *, kind: str, error: str) -> None:
        message = UnreadableMessage(
            id=uuid7(), raw=delivery.body, error=error, error_kind=kind, at=self._clock.now()
        )
        await until_stored(partial(self._keep_unreadable, message))
        PARKED.labels(kind).inc()
        log.warning("message.kept_unread", kind=kind, bytes=len(delivery.body))
        await delivery.ack()

    async def _keep_unreadable(self, message: UnreadableMessage) -> None:
        async with self._database.connection() as connection:
            await keep_unreadable(connection, message)
