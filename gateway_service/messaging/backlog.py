"""Watches how far behind each lane is."""

import asyncio
import random
from collections.abc import Mapping
from datetime import timedelta

from gateway_service.domain.backlog import STRAGGLERS, Backlog
from gateway_service.storage.backlog import overdue_lanes
from shared.contracts.channels import Lane
from shared.database.engine import Database
from shared.process.tasks import BackgroundTasks

LOOK_EVERY_S = 5.0


class BacklogWatch:
    """Looks every 5 s. While the database is away, what was found last holds."""

    def __init__(self, database: Database, backlog: Backlog, limits: Mapping[Lane, timedelta]) -> None:
        self._database = database
        self._backlog = backlog
        self._limits = limits
        self._tasks = BackgroundTasks()

    async def start(self) -> None:
        """Begin; needs no database to be there."""
        self._tasks.start("backlog", self._run)

    async def close(self) -> None:
        """No more looks."""
        await self._tasks.close()

    async def look(self) -> None:
        """Once, now. Raises DatabaseUnavailable."""
        async with self._database.connection() as connection:
            full = await overdue_lanes(connection, self._limits, stragglers=STRAGGLERS)
        self._backlog.note(full)

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S * random.uniform(0.8, 1.2))
