"""Takes what failed from failed.queue: kept for an operator, and the status set, in one transaction."""

from contextlib import suppress
from functools import partial

import structlog

from gateway_service.domain.counting import PARKED
from gateway_service.domain.reporting import take_over
from gateway_service.messaging.consumption import until_stored
from gateway_service.messaging.receipts import Receipts
from gateway_service.storage.failures import FailedDelivery, UnreadableMessage, keep_unreadable
from gateway_service.storage.outbox import publish_again
from shared.broker.decoding import Undecodable, decode
from shared.broker.interface import Delivery
from shared.contracts.delivery import DeliveryParked, DeliveryRequested
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
        parked = _read(delivery.body)
        if parked is None:
            await self._keep_bytes(
                delivery, kind="message.undecodable", error="Not a message of this version"
            )
            return
        if isinstance(parked, DeliveryRequested):
            await self._publish_again(parked)
            await delivery.ack()
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
        self._receipts.offer(parked.report)
        await delivery.ack()

    async def _publish_again(self, order: DeliveryRequested) -> None:
        """What the broker has given up by itself (RabbitMQ 4: handed out twenty times) is no failure yet:
        where its run is still open it is published anew, and the ledger knows what has become of it."""
        bind_correlation_id(order.correlation_id)

        async def store() -> None:
            async with self._database.connection() as connection:
                await publish_again(connection, [(order.notification_id, order.run)])

        await until_stored(store)
        log.warning("release.given_up_by_broker", notification_id=str(order.notification_id), run=order.run)

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


def _read(body: bytes) -> DeliveryParked | DeliveryRequested | None:
    with suppress(Undecodable):
        return decode(body, DeliveryParked)
    with suppress(Undecodable):
        return decode(body, DeliveryRequested)
    return None
