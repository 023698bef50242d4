"""The audit log: who did what about failures, and when. Written in the transaction of what was done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.contracts.http.failures import AuditEntry, AuditQuery, OperatorAct
from shared.database.engine import Connection
from shared.process.identifiers import uuid7


@dataclass(frozen=True, kw_only=True)
class Act:
    """`owner`: whose failure or job it is. `detail` holds no personal data but what an operator wrote."""

    at: datetime
    by: str
    act: OperatorAct
    owner: UUID | None
    failure_id: UUID | None = None
    notification_id: UUID | None = None
    job_id: UUID | None = None
    detail: str | None = None


async def note_acts(connection: Connection, acts: Sequence[Act]) -> None:
    """For good."""
    await connection.executemany(
        """
        INSERT INTO operator_acts (id, at, actor, act, owner, failure_id, notification_id, job_id, detail)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        [
            (
                uuid7(),
                act.at,
                act.by,
                act.act.value,
                act.owner,
                act.failure_id,
                act.notification_id,
                act.job_id,
                act.detail,
            )
            for act in acts
        ],
    )


async def list_acts(connection: Connection, query: AuditQuery, *, owner: UUID | None) -> list[AuditEntry]:
    """Newest first; one more than `query.limit` where there is a next page."""
    rows = await connection.fetch(
        """
        SELECT id, at, actor, act, failure_id, notification_id, job_id, detail FROM operator_acts
        WHERE ($1::uuid IS NULL OR failure_id = $1) AND ($2::uuid IS NULL OR job_id = $2)
            AND ($3::uuid IS NULL OR owner = $3) AND ($4::uuid IS NULL OR id < $4)
        ORDER BY id DESC LIMIT $5
        """,
        query.failure_id,
        query.job_id,
        owner,
        query.before,
        query.limit + 1,
    )
    return [
        AuditEntry(
            id=row["id"],
            at=row["at"],
            by=row["actor"],
            act=OperatorAct(row["act"]),
            failure_id=row["failure_id"],
            notification_id=row["notification_id"],
            job_id=row["job_id"],
            detail=row["detail"],
        )
        for row in rows
    ]
