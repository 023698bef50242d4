"""Statements that send failures again or discard them, to be run in one transaction: lock, then write.

The notifications are locked first, in the order of their ids, as everybody does; whoever parks a failure or
opens a run has locked its notification, too. So of two operators one has an effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from gateway_service.storage.failure_selection import Condition
from gateway_service.storage.notifications import TimelineEntry
from gateway_service.storage.reporting import MAY_HAVE_TAKEN, open_runs
from shared.contracts.channels import Channel
from shared.contracts.delivery import InlineMessage
from shared.contracts.http.failures import FailureStatus
from shared.contracts.http.notification_answers import NotificationStatus
from shared.database.engine import Connection

_CANDIDATES = """
SELECT f.id, f.owner, f.notification_id, f.run, f.status, f.error_kind,
    n.id IS NOT NULL AS exists, n.status AS notification_status, n.run AS current_run, n.expires_at,
    n.notification_type, n.category, n.user_id, n.to_address, n.language,
    md5(concat_ws('|', n.template_code, n.variables::text, n.content::text)) AS words,
    EXISTS (SELECT FROM outbox AS o WHERE o.notification_id = f.notification_id) AS in_work
FROM failed AS f LEFT JOIN notifications AS n ON n.id = f.notification_id
"""

# Status and error stay where another device took it, or nobody would know any more that one did.
_OPEN_RUN = """
UPDATE notifications AS n
SET run = n.run + 1,
    status = CASE WHEN {mended} THEN 'accepted' ELSE n.status END,
    error = CASE WHEN {mended} THEN NULL ELSE n.error END,
    error_kind = CASE WHEN {mended} THEN NULL ELSE n.error_kind END,
    template_version = NULL, updated_at = $2,
    timeline = n.timeline || jsonb_build_array(jsonb_build_object(
        'status', CASE WHEN {mended} THEN 'accepted' ELSE n.status END, 'at', $3::text, 'detail', $4::text
    ))
WHERE n.id = ANY($1::uuid[])
RETURNING n.id, n.run
""".format(mended="n.status IN ('failed', 'discarded')")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A failure with its notification as it stands now; all of the latter is None where there is none.
    `in_work`: a run of it is not closed. `words`: the same for the same template, variables or content."""

    id: UUID
    owner: UUID | None
    notification_id: UUID | None
    run: int | None
    status: FailureStatus
    error_kind: str
    notification_status: NotificationStatus | None
    current_run: int | None
    expires_at: datetime | None
    in_work: bool
    channel: Channel | None
    category: str | None
    user_id: UUID | None
    address: str | None
    language: str | None
    words: str


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What a notification says and where it goes."""

    address: str | None
    template_code: str | None
    variables: dict[str, Any]
    content: InlineMessage | None


async def read_candidates(connection: Connection, condition: Condition, *, limit: int) -> list[Candidate]:
    """As they stand at this moment, the oldest first; nothing is locked."""
    rows = await connection.fetch(
        f"{_CANDIDATES} WHERE {condition.sql} ORDER BY f.id LIMIT {int(limit)}", *condition.values
    )
    return [_candidate(row) for row in rows]


async def lock_candidates(connection: Connection, ids: Sequence[UUID]) -> list[Candidate]:
    """The same, by failure id; nobody else moves them before the transaction ends."""
    await connection.fetch(
        """
        SELECT FROM notifications
        WHERE id IN (SELECT notification_id FROM failed WHERE id = ANY($1::uuid[])) ORDER BY id FOR UPDATE
        """,
        list(ids),
    )
    await connection.fetch("SELECT FROM failed WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE", list(ids))
    # A statement of its own, which sees what was committed before the locks were had.
    rows = await connection.fetch(f"{_CANDIDATES} WHERE f.id = ANY($1::uuid[]) ORDER BY f.id", list(ids))
    return [_candidate(row) for row in rows]


async def read_wording(connection: Connection, identifier: UUID) -> Wording | None:
    """Of a notification; None where it is gone."""
    row = await connection.fetchrow(
        "SELECT to_address, template_code, variables, content FROM notifications WHERE id = $1", identifier
    )
    if row is None:
        return None
    content = row["content"]
    return Wording(
        address=row["to_address"],
        template_code=row["template_code"],
        variables=row["variables"],
        content=None if content is None else msgspec.convert(content, InlineMessage),
    )


async def open_failures(connection: Connection, notification_id: UUID) -> int:
    """Of a locked notification."""
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM failed WHERE notification_id = $1 AND status = 'open'", notification_id
        )
    )


async def reword(connection: Connection, identifier: UUID, words: Wording) -> None:
    """Before it is released."""
    await connection.execute(
        """
        UPDATE notifications SET to_address = $2, template_code = $3, variables = $4, content = $5
        WHERE id = $1
        """,
        identifier,
        words.address,
        words.template_code,
        words.variables,
        None if words.content is None else msgspec.to_builtins(words.content),
    )


async def release(
    connection: Connection,
    ids: Sequence[UUID],
    *,
    by: str,
    at: datetime,
    job_id: UUID | None,
    to_a_new_address: bool = False,
) -> list[UUID]:
    """Open the next run of these locked notifications, due now, with the template that is published then, for
    the targets that no earlier run has reached; a new address takes the place of all of them. Closes all open
    failures of theirs, which are the answer."""
    rows = await connection.fetch(
        _OPEN_RUN,
        list(ids),
        at,
        msgspec.json.encode(at).decode().strip('"'),
        f"Sent again by {by}",
    )
    closed = await connection.fetch(
        """
        UPDATE failed SET status = 'reprocessed', closed_at = $2, closed_by = $3, job_id = $4
        WHERE notification_id = ANY($1::uuid[]) AND status = 'open' RETURNING id
        """,
        list(ids),
        at,
        by,
        job_id,
    )
    runs = [(row["id"], row["run"], None) for row in rows]
    await open_runs(connection, runs, left_out=None if to_a_new_address else MAY_HAVE_TAKEN)
    return [row["id"] for row in closed]


async def close_as_discarded(connection: Connection, ids: Sequence[UUID], *, by: str, at: datetime) -> None:
    """These locked failures; a notification that failed, and has no other open failure, is discarded."""
    rows = await connection.fetch(
        """
        UPDATE failed SET status = 'discarded', closed_at = $2, closed_by = $3
        WHERE id = ANY($1::uuid[]) RETURNING notification_id
        """,
        list(ids),
        at,
        by,
    )
    entry = TimelineEntry(status=NotificationStatus.DISCARDED, at=at, detail=f"Discarded by {by}")
    await connection.execute(
        """
        UPDATE notifications AS n SET status = 'discarded', updated_at = $2, timeline = n.timeline || $3::text::jsonb
        WHERE n.id = ANY($1::uuid[]) AND n.status = 'failed'
            AND NOT EXISTS (SELECT FROM failed AS f WHERE f.notification_id = n.id AND f.status = 'open')
        """,  # noqa: E501
        [row["notification_id"] for row in rows if row["notification_id"] is not None],
        at,
        msgspec.json.encode((entry,)).decode(),
    )


def _candidate(row: Any) -> Candidate:
    there = row["exists"]
    return Candidate(
        id=row["id"],
        owner=row["owner"],
        notification_id=row["notification_id"],
        run=row["run"],
        status=FailureStatus(row["status"]),
        error_kind=row["error_kind"],
        notification_status=NotificationStatus(row["notification_status"]) if there else None,
        current_run=row["current_run"],
        expires_at=row["expires_at"],
        in_work=row["in_work"],
        channel=Channel(row["notification_type"]) if there else None,
        category=row["category"],
        user_id=row["user_id"],
        address=row["to_address"],
        language=row["language"],
        words=row["words"],
    )
