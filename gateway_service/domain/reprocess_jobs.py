"""Sending many failures again, as a job that can be watched, paused, resumed and cancelled."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import structlog

from gateway_service.domain.access import Principal
from gateway_service.domain.failures import owner_of
from gateway_service.domain.refusals import JobIsOver, NotFound
from gateway_service.storage.failure_reads import count_failures
from gateway_service.storage.failure_selection import FailureSelection
from gateway_service.storage.operator_acts import Act, note_acts
from gateway_service.storage.reprocess_jobs import Job, find_job, insert_job, list_jobs, save_job
from shared.contracts.http.base import Page, PageQuery, page_of
from shared.contracts.http.failures import FailureFilter, OperatorAct
from shared.contracts.http.reprocessing import BulkReprocessRequest, JobPhase, JobStatus, ReprocessJob
from shared.database.engine import Connection, Database
from shared.process.clock import Clock
from shared.process.identifiers import uuid7

log = structlog.get_logger()
_Change = Callable[[Connection, Job, datetime], Awaitable[Job]]

_ABSENT = "There is no such job."


class ReprocessJobs:
    """Whoever comes here may read or write failures. An API key sees the jobs of its owner's keys; an account
    sees all."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def start(self, request: BulkReprocessRequest, principal: Principal) -> ReprocessJob:
        """It begins within a moment, with what is open now. Raises DatabaseUnavailable."""
        now = self._clock.now()
        selection = FailureSelection(filter=request.filter, owner=owner_of(principal))
        async with self._database.transaction() as connection:
            matching = await count_failures(connection, selection.condition, most=request.limit)
            job = Job(
                id=uuid7(),
                status=JobStatus.RUNNING,
                phase=JobPhase.FIRST_BATCH,
                reason=None,
                filter=FailureFilter(**request.filter.model_dump()),
                owner=selection.owner,
                most=request.limit,
                per_second=request.per_second,
                skip_likely_duplicates=request.skip_likely_duplicates,
                position=UUID(int=0),
                until_id=uuid7(),
                again_until_id=None,
                total=matching,
                released=0,
                skipped=0,
                sent=0,
                failed_again=0,
                other=0,
                first_batch=(),
                created_by=principal.name,
                created_at=now,
                updated_at=now,
                finished_at=None,
            )
            await insert_job(connection, job)
            await note_job_act(connection, job, OperatorAct.JOB_STARTED, by=principal.name, at=now)
        log.info("job.started", job_id=str(job.id), total=matching, by=principal.name)
        return job.as_answer()

    async def one(self, identifier: UUID, principal: Principal) -> ReprocessJob:
        """Raises NotFound, DatabaseUnavailable."""
        async with self._database.connection() as connection:
            return (await _found(connection, identifier, principal)).as_answer()

    async def page(self, query: PageQuery, principal: Principal) -> Page[ReprocessJob]:
        """Newest first. Raises DatabaseUnavailable."""
        async with self._database.connection() as connection:
            found = await list_jobs(connection, query, owner=owner_of(principal))
        return page_of(Page[ReprocessJob], [job.as_answer() for job in found], limit=query.limit)

    async def pause(self, identifier: UUID, principal: Principal) -> ReprocessJob:
        """What is released goes on; nothing more is. Raises NotFound, JobIsOver, DatabaseUnavailable."""
        return await self._change(
            identifier, principal, OperatorAct.JOB_PAUSED, from_=(JobStatus.RUNNING,), change=_paused
        )

    async def resume(self, identifier: UUID, principal: Principal) -> ReprocessJob:
        """One that is paused goes on; one that was stopped begins with a small batch anew. Raises NotFound,
        JobIsOver, DatabaseUnavailable."""
        return await self._change(
            identifier,
            principal,
            OperatorAct.JOB_RESUMED,
            from_=(JobStatus.PAUSED, JobStatus.STOPPED),
            change=_resumed,
        )

    async def cancel(self, identifier: UUID, principal: Principal) -> ReprocessJob:
        """Nothing more is released, for good. Raises NotFound, JobIsOver, DatabaseUnavailable."""
        return await self._change(
            identifier,
            principal,
            OperatorAct.JOB_CANCELLED,
            from_=(JobStatus.RUNNING, JobStatus.PAUSED, JobStatus.STOPPED),
            change=_cancelled,
        )

    async def _change(
        self,
        identifier: UUID,
        principal: Principal,
        act: OperatorAct,
        *,
        from_: tuple[JobStatus, ...],
        change: _Change,
    ) -> ReprocessJob:
        async with self._database.transaction() as connection:
            job = await _found(connection, identifier, principal, lock=True)
            if job.status not in from_:
                raise JobIsOver(f"The job is {job.status.value}.")
            now = self._clock.now()
            changed = replace(await change(connection, job, now), updated_at=now)
            await save_job(connection, changed)
            await note_job_act(connection, changed, act, by=principal.name, at=now)
        log.info(act.value, job_id=str(identifier), by=principal.name)
        return changed.as_answer()


async def note_job_act(
    connection: Connection, job: Job, act: OperatorAct, *, by: str, at: datetime, detail: str | None = None
) -> None:
    """Into the audit log, within the transaction of the act."""
    if detail is None and act is OperatorAct.JOB_STARTED:
        detail = f"{job.total} failures: {job.filter.model_dump_json(exclude_none=True)}"
    await note_acts(connection, [Act(at=at, by=by, act=act, owner=job.owner, job_id=job.id, detail=detail)])


async def _found(
    connection: Connection, identifier: UUID, principal: Principal, *, lock: bool = False
) -> Job:
    job = await find_job(connection, identifier, owner=owner_of(principal), lock=lock)
    if job is None:
        raise NotFound(_ABSENT)
    return job


async def _paused(_connection: Connection, job: Job, _now: datetime) -> Job:
    return replace(job, status=JobStatus.PAUSED)


async def _resumed(connection: Connection, job: Job, _now: datetime) -> Job:
    """One that was stopped takes what it had sent, and has failed again, with it."""
    if job.status is JobStatus.PAUSED:
        return replace(job, status=JobStatus.RUNNING)
    anew = replace(
        job,
        status=JobStatus.RUNNING,
        phase=JobPhase.FIRST_BATCH,
        first_batch=(),
        reason=None,
        again_until_id=uuid7(),
    )
    left = 0
    for condition in anew.rest:
        left += await count_failures(connection, condition, most=anew.left)
    left = left if anew.left is None else min(left, anew.left)
    return replace(anew, total=anew.looked_at + left)


async def _cancelled(_connection: Connection, job: Job, now: datetime) -> Job:
    return replace(job, status=JobStatus.CANCELLED, finished_at=now)
