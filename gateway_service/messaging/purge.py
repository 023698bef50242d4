"""Forgetting: months that are over are dropped, and each ledger is told what it may delete.

The ledgers keep a month more than the gateway, so that whatever the gateway still asks about is answered:
an answer of "unknown" would send it again.
"""

import asyncio
from uuid import UUID

import structlog

from gateway_service.storage.old_months import (
    count_outside,
    drop_month,
    forget_closed,
    oldest_kept,
    present,
    stored_months,
    unfinished,
)
from gateway_service.storage.partitions import created_at, id_bound, month_before
from shared.clients.ledgers import LedgerClient
from shared.clients.peer import PeerError
from shared.contracts.channels import Channel
from shared.database.engine import Database
from shared.process.clock import Clock

log = structlog.get_logger()

EVERY_S = 3600.0
AGAIN_S = 300.0
"""Where a month could not be had: each try holds up the others for a moment."""
PAUSE_S = 0.2
"""Between two batches of a ledger, so that deliveries have it to themselves most of the time."""


class Purge:
    """Any number of gateways may do this at once. `keep_months`: those before the present one that stay; 0:
    all of them do. What the present one is, say three clocks: see `present`."""

    def __init__(
        self,
        database: Database,
        ledgers: LedgerClient,
        clock: Clock,
        *,
        keep_months: int,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._database = database
        self._ledgers = ledgers
        self._clock = clock
        self._keep_months = keep_months
        self._pause_s = pause_s

    async def run(self) -> None:
        """Once an hour, until cancelled."""
        while True:
            had_all = await self.drop_months()
            await self.purge_ledgers()
            await asyncio.sleep(EVERY_S if had_all else AGAIN_S)

    async def drop_months(self) -> bool:
        """Those that are over and in which nothing is open; and what operators have closed, with their acts,
        from before the months that are kept. False where one of them was busy: try again. Raises
        DatabaseUnavailable."""
        if not self._keep_months:
            return True
        had_all = True
        async with self._database.connection() as connection:
            now = await present(connection, self._clock.now())
            first_kept = month_before(now, months=self._keep_months)
            for month in await stored_months(connection):
                if month >= first_kept:
                    break
                name = f"{month:%Y-%m}"
                open_work = await unfinished(connection, month)
                if open_work.runs or open_work.failures:
                    log.warning(
                        "month.kept", month=name, open_runs=open_work.runs, open_failures=open_work.failures
                    )
                elif await drop_month(connection, month):
                    log.info("month.dropped", month=name)
                else:
                    had_all = False
                    log.info("month.busy", month=name)
            outside = await count_outside(connection, before=first_kept)
            forgotten = await forget_closed(connection, before=first_kept)
        if forgotten:
            log.info("failures.forgotten", rows=forgotten)
        if outside:
            log.warning("notifications.in_no_month", count=outside, before=f"{first_kept:%Y-%m}")
        return had_all

    async def purge_ledgers(self) -> None:
        """Tell each what lies more than a month before anything that the gateway keeps. A ledger that is away
        is told the next time. Raises DatabaseUnavailable."""
        if not self._keep_months:
            return
        async with self._database.connection() as connection:
            oldest = await oldest_kept(connection)
        before = UUID(int=0) if oldest is None else id_bound(month_before(created_at(oldest), months=1))
        if before.int:
            for channel in self._ledgers.channels:
                await self._purge_ledger(channel, before=before)

    async def _purge_ledger(self, channel: Channel, *, before: UUID) -> None:
        rows = 0
        try:
            while deleted := await self._ledgers.purge(channel, before=before):
                rows += deleted
                await asyncio.sleep(self._pause_s)
        except PeerError as error:
            log.warning("ledger.not_purged", channel=channel.value, reason=str(error))
        if rows:
            log.info("ledger.purged", channel=channel.value, rows=rows)
