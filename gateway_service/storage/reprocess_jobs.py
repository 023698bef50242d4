"""Jobs that send many failures again: their rows, whose turn it is to run them, and what came of them.

A job's progress is written in the transaction of its releases, so that another process goes on exactly where
the last one ended.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway_service.storage.failure_selection import Condition, FailureSelection
from shared.contracts.http.base import PageQuery
from shared.contracts.http.failures import FailureFilter
from shared.contracts.http.reprocessing import JobPhase, JobStatus, ReprocessJob
from shared.database.engine import Connection

LEASE_S = 15.0
"""How long a process may be silent before another goes on with its jobs."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """As it stands. `position`: the last failure that was looked at; `first_batch`: the failures that were
    sent again to see whether the cause is mended."""

    id: UUID
    status: JobStatus
    phase: JobPhase
    reason: str | None
    filter: FailureFilter
    owner: UUID | None
    most: int | None
    per_second: float
    skip_likely_duplicates: bool
    position: UUID
    until_id: UUID
    again_until_id: UUID | None
    total: int
    released: int
    skipped: int
    sent: int
    failed_again: int
    other: int
    first_batch: tuple[UUID, ...]
    created_by: str
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @property
    def in_flight(self) -> int:
        """What was released and has not ended."""
        return max(0, self.released - self.sent - self.failed_again - self.other)

    @property
    def looked_at(self) -> int:
        """What was released or skipped."""
        return self.released + self.skipped

    @property
    def left(self) -> int | None:
        """How many it may still look at; None: all."""
        return None if self.most is None else max(0, self.most - self.looked_at)

    @property
    def selection(self) -> FailureSelection:
        """What it is to send, without its bounds."""
        return FailureSelection(filter=self.filter, owner=self.owner)

    @property
    def rest(self) -> tuple[Condition, ...]:
        """What it has not looked at yet, in turn: what there was at its start, and then what it had sent and
        has failed again, where it was stopped for that and resumed."""
        # What it has sent itself is not looked for by the time of its failing: clocks may differ.
        selected = self.selection.condition.and_(
            "f.id > {} AND f.id < {} AND NOT EXISTS (SELECT FROM failed AS first "
            "WHERE first.notification_id = f.notification_id AND first.job_id = {})",
            self.position,
            self.until_id,
            self.id,
        )
        if self.again_until_id is None:
            return (selected,)
        everything = FailureSelection(filter=FailureFilter(), owner=self.owner).condition
        again = everything.and_(
            "f.id > {} AND f.id < {} AND f.notification_id IN "
            "(SELECT first.notification_id FROM failed AS first WHERE first.job_id = {})",
            self.position,
            self.again_until_id,
            self.id,
        )
        return (selected, again)

    def as_answer(self) -> ReprocessJob:
        """For people."""
        return ReprocessJob(
            id=self.id,
            status=self.status,
            phase=self.phase,
            reason=self.reason,
            filter=self.filter,
            limit=self.most,
            per_second=self.per_second,
            skip_likely_duplicates=self.skip_likely_duplicates,
            total=self.total,
            released=self.released,
            skipped=self.skipped,
            sent=self.sent,
            failed_again=self.failed_again,
            other=self.other,
            in_flight=self.in_flight,
            created_by=self.created_by,
            created_at=self.created_at,
            updated_at=self.updated_at,
            finished_at=self.finished_at,
        )


async def insert_job(connection: Connection, job: Job) -> None:
    """A new one, which somebody takes up within a moment."""
    await connection.execute(
        """
        INSERT INTO reprocess_jobs (
            id, status, phase, filter, owner, most, per_second, skip_likely_duplicates, position, until_id, total,
            created_by, created_at, updated_at
        ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
        """,  # noqa: E501
        job.id,
        job.status.value,
        job.phase.value,
        job.filter.model_dump(mode="json", exclude_none=True),
        job.owner,
        job.most,
        job.per_second,
        job.skip_likely_duplicates,
        job.position,
        job.until_id,
        job.total,
        job.created_by,
        job.created_at,
    )


async def find_job(
    connection: Connection, identifier: UUID, *, owner: UUID | None, lock: bool = False
) -> Job | None:
    """None where there is none that belongs to `owner`. With `lock` it stays as it is until the transaction
    ends."""
    row = await connection.fetchrow(
        f"""
        SELECT * FROM reprocess_jobs WHERE id = $1 AND ($2::uuid IS NULL OR owner = $2)
        {"FOR UPDATE" if lock else ""}
        """,  # noqa: S608
        identifier,
        owner,
    )
    return None if row is None else _job(row)


async def list_jobs(connection: Connection, query: PageQuery, *, owner: UUID | None) -> list[Job]:
    """Newest first; one more than `query.limit` where there is a next page."""
    rows = await connection.fetch(
        """
        SELECT * FROM reprocess_jobs
        WHERE ($1::uuid IS NULL OR owner = $1) AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
        """,
        owner,
        query.before,
        query.limit + 1,
    )
    return [_job(row) for row in rows]


async def take_jobs(connection: Connection, token: UUID, *, limit: int) -> list[UUID]:
    """Those that this process (`token`) is to run now, for `LEASE_S`; nobody else does meanwhile."""
    rows = await connection.fetch(
        """
        UPDATE reprocess_jobs AS job
        SET lease_token = $1, lease_until = clock_timestamp() + $3::float8 * interval '1 second'
        FROM (
            SELECT id FROM reprocess_jobs
            WHERE active AND (lease_token = $1 OR lease_until IS NULL OR lease_until < clock_timestamp())
            ORDER BY status <> 'running', id LIMIT $2 FOR UPDATE SKIP LOCKED
        ) AS free
        WHERE job.id = free.id RETURNING job.id
        """,
        token,
        limit,
        LEASE_S,
    )
    return sorted(row["id"] for row in rows)


async def lock_held_job(connection: Connection, identifier: UUID, token: UUID) -> Job | None:
    """None where the lease has gone to another process meanwhile."""
    row = await connection.fetchrow(
        "SELECT * FROM reprocess_jobs WHERE id = $1 AND lease_token = $2 AND active FOR UPDATE",
        identifier,
        token,
    )
    return None if row is None else _job(row)


async def give_back_jobs(connection: Connection, token: UUID) -> None:
    """This process ends: others need not wait for its leases."""
    await connection.execute(
        "UPDATE reprocess_jobs SET lease_token = NULL, lease_until = NULL WHERE active AND lease_token = $1",
        token,
    )


async def save_job(connection: Connection, job: Job) -> None:
    """Its progress. It stays active until it has ended and everything that it released has."""
    await connection.execute(
        """
        UPDATE reprocess_jobs
        SET status = $2, phase = $3, reason = $4, position = $5, released = $6, skipped = $7, sent = $8,
            failed_again = $9, other = $10, first_batch = $11, updated_at = $12, finished_at = $13,
            active = $14, again_until_id = $15, total = $16
        WHERE id = $1
        """,
        job.id,
        job.status.value,
        job.phase.value,
        job.reason,
        job.position,
        job.released,
        job.skipped,
        job.sent,
        job.failed_again,
        job.other,
        list(job.first_batch),
        job.updated_at,
        job.finished_at,
        job.status is JobStatus.RUNNING or job.in_flight > 0,
        job.again_until_id,
        job.total,
    )


async def count_jobs(connection: Connection) -> dict[JobStatus, int]:
    """By status, of those that somebody may still have to do with."""
    rows = await connection.fetch(
        """
        SELECT status, count(*) AS jobs FROM reprocess_jobs
        WHERE status IN ('running', 'paused', 'stopped') GROUP BY status
        """
    )
    counts = dict.fromkeys((JobStatus.RUNNING, JobStatus.PAUSED, JobStatus.STOPPED), 0)
    return counts | {JobStatus(row["status"]): row["jobs"] for row in rows}


def _job(row: Any) -> Job:
    return Job(
        id=row["id"],
        status=JobStatus(row["status"]),
        phase=JobPhase(row["phase"]),
        reason=row["reason"],
        filter=FailureFilter.model_validate(row["filter"]),
        owner=row["owner"],
        most=row["most"],
        per_second=row["per_second"],
        skip_likely_duplicates=row["skip_likely_duplicates"],
        position=row["position"],
        until_id=row["until_id"],
        again_until_id=row["again_until_id"],
        total=row["total"],
        released=row["released"],
        skipped=row["skipped"],
        sent=row["sent"],
        failed_again=row["failed_again"],
        other=row["other"],
        first_batch=tuple(row["first_batch"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        finished_at=row["finished_at"],
    )
