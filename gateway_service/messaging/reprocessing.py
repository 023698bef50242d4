"""Runs the jobs that send failures again, each at its pace; any number of gateways share them."""

import asyncio
import time
from collections.abc import Callable
from uuid import UUID, uuid4

import structlog

from gateway_service.domain.job_steps import take_step
from gateway_service.storage.reprocess_jobs import give_back_jobs, take_jobs
from shared.database.engine import Database
from shared.database.errors import DatabaseError
from shared.process.clock import Clock

log = structlog.get_logger()

IDLE_S = 1.0
BUSY_S = 0.1
MOST_JOBS = 50
"""That one gateway runs at a time; the others wait for their turn."""
_BURST_S = 1.0
"""What was not released in time is made up for as far as this."""


class JobRunner:
    """A job that its gateway leaves, by a crash or otherwise, is gone on with by another."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._token = uuid4()
        self._paces: dict[UUID, Pace] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            worked = await self.run_once()
            await asyncio.sleep(BUSY_S if worked else IDLE_S)

    async def run_once(self) -> bool:
        """A step of each job; whether anything was done. Raises DatabaseUnavailable."""
        async with self._database.connection() as connection:
            jobs = await take_jobs(connection, self._token, limit=MOST_JOBS)
        self._paces = {job: self._paces.get(job) or Pace() for job in jobs}
        worked = [await self._run_job(job) for job in jobs]
        return any(worked)

    async def give_back(self) -> None:
        """At the end, so that nobody has to wait for the leases. Raises nothing: they run out."""
        try:
            async with self._database.connection() as connection:
                await give_back_jobs(connection, self._token)
        except DatabaseError:
            return

    async def _run_job(self, identifier: UUID) -> bool:
        pace = self._paces[identifier]
        try:
            step = await take_step(
                self._database, self._clock, identifier, token=self._token, at_most=pace.allowance
            )
        except DatabaseError as error:
            log.warning("job.step_not_taken", job_id=str(identifier), reason=str(error))
            return False
        except Exception:
            log.exception("job.step_failed", job_id=str(identifier))  # the others go on
            return False
        pace.note(step.released, per_second=step.per_second)
        return step.changed


class Pace:
    """How many may be released by now; `monotonic` is a clock in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._credit = 1.0
        self._monotonic = monotonic
        self._at = monotonic()

    @property
    def allowance(self) -> int:
        """Whole ones."""
        return int(self._credit)

    def note(self, released: int, *, per_second: float) -> None:
        """Some were released, perhaps more than allowed since they belong together; time went by."""
        now = self._monotonic()
        most = max(1.0, per_second * _BURST_S)
        self._credit = min(most, self._credit - released + (now - self._at) * per_second)
        self._at = now
