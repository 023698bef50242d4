"""One step of a job, in one transaction: what has ended is counted, and some more is released."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import structlog

from gateway_service.domain.counting import CLOSED_FAILURES
from gateway_service.domain.dry_run import SaidHere, notifications_of
from gateway_service.domain.reprocess_jobs import note_job_act
from gateway_service.domain.sendability import Sendability, sendability
from gateway_service.storage.job_outcomes import first_batch_outcomes, settle_outcomes
from gateway_service.storage.likely_duplicates import said_already
from gateway_service.storage.reprocess_jobs import Job, lock_held_job, save_job
from gateway_service.storage.reprocessing import Candidate, lock_candidates, read_candidates, release
from shared.contracts.http.failures import OperatorAct
from shared.contracts.http.reprocessing import FIRST_BATCH, JobPhase, JobStatus
from shared.database.engine import Connection, Database
from shared.process.clock import Clock

log = structlog.get_logger()

ITSELF = "carillon"
MOST_AT_ONCE = 200
MOST_COUNTED = 1_000


@dataclass(frozen=True, kw_only=True)
class Step:
    """`released`: in this step; `per_second`: the pace of the job; `changed`: whether anything did."""

    released: int
    per_second: float
    changed: bool


async def take_step(database: Database, clock: Clock, identifier: UUID, *, token: UUID, at_most: int) -> Step:
    """Release at most `at_most`. Nothing is done where the job is another process's by now. Raises
    DatabaseUnavailable: whether it was done stands in the job."""
    async with database.transaction() as connection:
        job = await lock_held_job(connection, identifier, token)
        if job is None:
            return Step(released=0, per_second=0.0, changed=False)
        before = job
        job = await _counted(connection, job)
        batch = _NOTHING
        if job.status is JobStatus.RUNNING:
            job = await _judged(connection, job, size=max(FIRST_BATCH, len(job.first_batch)), now=clock.now())
        if job.status is JobStatus.RUNNING:
            wanted = min(at_most, MOST_AT_ONCE)
            if job.phase is JobPhase.FIRST_BATCH:
                # At once, unless the pace is slower than that in a second.
                wanted = FIRST_BATCH if job.per_second >= FIRST_BATCH else wanted
                wanted = min(wanted, FIRST_BATCH - len(job.first_batch))
            if wanted > 0:
                job, batch = await _some_more(connection, job, wanted, now=clock.now())
        if job != before:
            await save_job(connection, replace(job, updated_at=clock.now()))
    if batch.released:
        CLOSED_FAILURES.labels("reprocessed").inc(len(batch.released))
        log.info("job.released", job_id=str(identifier), count=len(batch.released), skipped=batch.skipped)
    if job.status is not before.status:
        log.info(f"job.{job.status.value}", job_id=str(identifier))
    return Step(released=len(batch.released), per_second=job.per_second, changed=job != before)


@dataclass(frozen=True, kw_only=True)
class _Batch:
    released: tuple[UUID, ...]
    skipped: int


_NOTHING = _Batch(released=(), skipped=0)


async def _counted(connection: Connection, job: Job) -> Job:
    if not job.in_flight:
        return job
    counts = await settle_outcomes(connection, job.id, limit=MOST_COUNTED)
    return replace(
        job,
        sent=job.sent + counts["sent"],
        failed_again=job.failed_again + counts["failed_again"],
        other=job.other + counts["other"],
    )


async def _judged(connection: Connection, job: Job, *, size: int, now: datetime) -> Job:
    """Whether the rest may follow the first batch, of `size`: yes once more than half of it has ended
    otherwise than before, no as soon as half of it has failed for the same kind of error again."""
    if job.phase is not JobPhase.FIRST_BATCH or not job.first_batch:
        return job
    ended, same, error = await first_batch_outcomes(connection, job.first_batch)
    if 2 * same >= size:
        reason = f"{same} of the first {size} failed for the same cause again: {error}"
        stopped = replace(job, status=JobStatus.STOPPED, reason=reason)
        await note_job_act(connection, stopped, OperatorAct.JOB_STOPPED, by=ITSELF, at=now, detail=reason)
        return stopped
    if 2 * (ended - same) > size or ended == size:
        return replace(job, phase=JobPhase.REST)
    return job


async def _some_more(connection: Connection, job: Job, wanted: int, *, now: datetime) -> tuple[Job, _Batch]:
    wanted = wanted if job.left is None else min(wanted, job.left)
    found: list[Candidate] = []
    for condition in job.rest:
        if wanted > 0 and not found:
            found = await read_candidates(connection, condition, limit=wanted)
    if not found:
        # A first batch may be smaller than it is meant to be: then it is all there was.
        # Nothing more is looked for while its outcome is waited for.
        job = replace(job, position=max(job.position, job.again_until_id or job.until_id))
        job = await _judged(connection, job, size=len(job.first_batch), now=now)
        if job.status is not JobStatus.RUNNING or (job.phase is JobPhase.FIRST_BATCH and job.first_batch):
            return job, _NOTHING
        completed = replace(job, status=JobStatus.COMPLETED, finished_at=now)
        detail = f"{job.released} released, {job.skipped} skipped"
        await note_job_act(connection, completed, OperatorAct.JOB_COMPLETED, by=ITSELF, at=now, detail=detail)
        return completed, _NOTHING
    locked = await lock_candidates(connection, [candidate.id for candidate in found])
    ready = await _chosen(connection, job, locked, now=now)
    released: list[UUID] = []
    if ready:
        released = await release(connection, ready, by=job.created_by, at=now, job_id=job.id)
    skipped = len({candidate.id for candidate in found} - set(released))
    first_batch = job.first_batch
    if job.phase is JobPhase.FIRST_BATCH:
        first_batch = (*first_batch, *released)
    moved = replace(
        job,
        position=found[-1].id,
        released=job.released + len(released),
        skipped=job.skipped + skipped,
        total=max(job.total, job.looked_at + len(released) + skipped),
        first_batch=first_batch,
    )
    return moved, _Batch(released=tuple(released), skipped=skipped)


async def _chosen(
    connection: Connection, job: Job, candidates: list[Candidate], *, now: datetime
) -> list[UUID]:
    """The notifications to release."""
    ready = [item for item in candidates if sendability(item, now=now) is Sendability.READY]
    if job.skip_likely_duplicates:
        said, said_here = await said_already(connection, notifications_of(ready)), SaidHere()
        ready = [item for item in ready if not said_here.repeats(item) and item.notification_id not in said]
    return sorted(set(notifications_of(ready)))
