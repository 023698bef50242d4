"""Takes reports from the broker, many in one transaction."""

import asyncio
from functools import partial

import msgspec
import structlog

from gateway_service.domain.reporting import take_over
from gateway_service.messaging.consumption import until_stored
from gateway_service.messaging.postmarks import Postmarks
from gateway_service.messaging.receipts import Receipts
from shared.broker.decoding import Undecodable, decode
from shared.broker.interface import Delivery
from shared.contracts.delivery import DeliveriesReported, DeliveryReported
from shared.database.engine import Database
from shared.database.group_commit import GroupCommit
from shared.process.clock import Clock
from shared.process.correlation import correlation_scope
from shared.process.crash_points import CrashPoint, reach

log = structlog.get_logger()

PREFETCH = 100
MAX_BATCH = 200
MAX_WAIT_S = 0.05


class Reports:
    """A message is acked once its reports are committed. One that PostgreSQL refuses, and what is no report,
    goes to failed.queue, where its bytes are kept."""

    def __init__(self, database: Database, receipts: Receipts, postmarks: Postmarks, clock: Clock) -> None:
        self._database = database
        self._receipts = receipts
        self._postmarks = postmarks
        self._clock = clock
        self._group: GroupCommit[DeliveryReported, None] = GroupCommit(
            self._flush, name="reports.storing", max_batch=MAX_BATCH, max_wait_s=MAX_WAIT_S, concurrency=1
        )

    async def start(self) -> None:
        """Begin to take reports."""
        await self._group.start()

    async def close(self) -> None:
        """Commit what was taken."""
        await self._group.close()

    async def handle(self, delivery: Delivery) -> None:
        """See one message to its end."""
        try:
            reports = decode(delivery.body, DeliveriesReported).reports
        except Undecodable:
            log.warning("report.undecodable", bytes=len(delivery.body))
            await delivery.park(delivery.body)
            return
        stored = await asyncio.gather(*(self._store(report) for report in reports))
        for report in reports:
            # Those that are kept with their bytes, too: the ledger need not repeat them.
            self._receipts.offer(report)
        refused = tuple(report for report, done in zip(reports, stored, strict=True) if not done)
        if refused:
            await delivery.park(msgspec.json.encode(DeliveriesReported(reports=refused)))
        else:
            await delivery.ack()

    async def _store(self, report: DeliveryReported) -> bool:
        """False where PostgreSQL refuses what is in it."""
        try:
            await until_stored(partial(self._group.submit, report))
        except Exception:
            with correlation_scope(report.correlation_id):
                log.exception("report.not_storable", notification_id=str(report.notification_id))
            return False
        return True

    async def _flush(self, reports: list[DeliveryReported]) -> list[None]:
        closed = await take_over(self._database, reports, now=self._clock.now())
        reach(CrashPoint.REPORTS_COMMITTED)
        self._postmarks.forget(closed)
        return [None] * len(reports)
