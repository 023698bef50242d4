"""Runs that were published and of which no end was heard: the ledger is asked what happened."""

import asyncio
from collections.abc import Sequence

import structlog

from gateway_service.domain.counting import REPUBLISHED
from gateway_service.domain.reporting import apply_reports
from gateway_service.storage.outbox import OverdueEntry, RunKey, claim_overdue, publish_again
from shared.broker.interface import Broker, BrokerError
from shared.broker.topology import lane_queue
from shared.clients.ledgers import LedgerClient
from shared.clients.peer import PeerError
from shared.contracts.channels import Channel
from shared.contracts.delivery import DeliveryKey
from shared.database.engine import Database
from shared.process.clock import Clock

log = structlog.get_logger()

MAX_BATCH = 500
INTERVAL_S = 1.0


class Overdue:
    """Asks, takes over what the ledger knows, and publishes again what neither ledger nor broker has."""

    def __init__(
        self, database: Database, broker: Broker, ledgers: LedgerClient, clock: Clock, *, ask_after_s: float
    ) -> None:
        self._database = database
        self._broker = broker
        self._ledgers = ledgers
        self._clock = clock
        self._ask_after_s = ask_after_s

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            if await self.ask() < MAX_BATCH:
                await asyncio.sleep(INTERVAL_S)

    async def ask(self) -> int:
        """Ask about one batch; how many entries. A ledger that is away is asked again when the entry is
        next due. Raises DatabaseUnavailable."""
        async with self._database.connection() as connection:
            entries = await claim_overdue(connection, limit=MAX_BATCH, ask_after_s=self._ask_after_s)
        by_channel: dict[Channel, list[OverdueEntry]] = {}
        for entry in entries:
            by_channel.setdefault(entry.channel, []).append(entry)
        for channel, asked in by_channel.items():
            await self._ask_ledger(channel, asked)
        return len(entries)

    async def _ask_ledger(self, channel: Channel, entries: Sequence[OverdueEntry]) -> None:
        keys = [DeliveryKey(notification_id=entry.key[0], run=entry.key[1]) for entry in entries]
        try:
            reports = await self._ledgers.lookup(channel, keys)
        except PeerError as error:
            log.warning("ledger.not_asked", channel=channel.value, reason=str(error))
            return
        if reports:
            async with self._database.transaction() as connection:
                await apply_reports(connection, reports, now=self._clock.now())
        known = {(report.notification_id, report.run) for report in reports}
        lost = await self._lost([entry for entry in entries if entry.key not in known])
        if lost:
            async with self._database.connection() as connection:
                await publish_again(connection, lost)
            REPUBLISHED.labels(channel.value).inc(len(lost))
            log.warning("outbox.published_again", channel=channel.value, count=len(lost))

    async def _lost(self, unknown: Sequence[OverdueEntry]) -> list[RunKey]:
        """Those that the broker does not have either: it was wiped since, or their lane is empty."""
        empty: dict[str, bool] = {}
        lost: list[RunKey] = []
        for entry in unknown:
            queue = lane_queue(entry.channel, entry.lane)
            if not entry.before_epoch and queue not in empty:
                empty[queue] = await self._is_empty(queue)
            if entry.before_epoch or empty[queue]:
                lost.append(entry.key)
        return lost

    async def _is_empty(self, queue: str) -> bool:
        try:
            return (await self._broker.queue_state(queue)).depth == 0
        except BrokerError:
            return False
