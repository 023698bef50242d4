"""What is done once in a while: coming months are made, old keys forgotten, gauges set."""

import asyncio
from datetime import timedelta

import structlog

from gateway_service.domain.counting import (
    FAILED_OPEN,
    OLDEST_DUE,
    OLDEST_UNPUBLISHED,
    OUTBOX,
    REPROCESS_JOBS,
    UNKNOWN,
)
from gateway_service.storage.backlog import count_unknown, oldest_due
from gateway_service.storage.batches import forget_old_keys
from gateway_service.storage.failures import count_open
from gateway_service.storage.outbox import outbox_state
from gateway_service.storage.partitions import ensure_partitions
from gateway_service.storage.reprocess_jobs import count_jobs
from shared.database.engine import Database
from shared.process.clock import Clock
from shared.process.stale import unsay

log = structlog.get_logger()

KEYS_KEPT = timedelta(hours=48)
PARTITIONS_EVERY_S = 24 * 3600.0
KEYS_EVERY_S = 600.0
GAUGES_EVERY_S = 15.0


class Housekeeping:
    """Each method runs until cancelled; any number of gateways may do the same at once."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def make_months(self) -> None:
        """Partitions for this month and the next three."""
        while True:
            await ensure_partitions(self._database, self._clock.now())
            await asyncio.sleep(PARTITIONS_EVERY_S)

    async def forget_keys(self) -> None:
        """Idempotency keys of more than 48 hours."""
        while True:
            await self.forget_keys_now()
            await asyncio.sleep(KEYS_EVERY_S)

    async def forget_keys_now(self) -> int:
        """All that are old by now; how many."""
        forgotten = 0
        while True:
            async with self._database.connection() as connection:
                count = await forget_old_keys(connection, before=self._clock.now() - KEYS_KEPT)
            forgotten += count
            if count == 0:
                return forgotten

    async def watch(self) -> None:
        """Gauges of the outbox, of what is in doubt and of what is parked; while the database cannot be asked
        they say nothing."""
        while True:
            try:
                await self.look()
            except Exception:
                unsay(OUTBOX, OLDEST_UNPUBLISHED, OLDEST_DUE, UNKNOWN, FAILED_OPEN, REPROCESS_JOBS)
                raise
            await asyncio.sleep(GAUGES_EVERY_S)

    async def look(self) -> None:
        """Set the gauges, once. Raises DatabaseUnavailable."""
        async with self._database.connection() as connection:
            state = await outbox_state(connection)
            oldest = await oldest_due(connection)
            unknown = await count_unknown(connection)
            parked = await count_open(connection)
            jobs = await count_jobs(connection)
        OUTBOX.labels("unpublished").set(state.unpublished)
        OUTBOX.labels("published").set(state.published)
        OLDEST_UNPUBLISHED.set(state.oldest_s)
        for (channel, lane), age_s in oldest.items():
            OLDEST_DUE.labels(channel.value, lane.value).set(age_s)
        UNKNOWN.set(unknown)
        FAILED_OPEN.set(parked)
        for status, count in jobs.items():
            REPROCESS_JOBS.labels(status.value).set(count)
