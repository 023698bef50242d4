"""The statement that accepts: idempotency keys, notifications and outbox entries, all or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from gateway_service.storage.notifications import Notification, TimelineEntry
from shared.database.engine import Connection

PATIENCE_MS = 1_500
"""How long a request waits for another with its key: less than the time-out of a statement."""
HAND_OFF_GRACE_S = 2.0
"""How long an entry that is due at once is left to the relay, which has it in memory, before the sweep
takes it for left behind."""

# One statement is one transaction and one round trip. The keys are inserted in order, so that two
# commits wait for each other and never deadlock; whoever loses a key inserts nothing else. `patience`
# comes before the first lock, since its row is needed to insert a key. What is due at once is due by
# PostgreSQL's clock, as for the sweep: with a gateway's that is fast it would wait.
_ACCEPT = """
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', $1::text, true)),
item AS MATERIALIZED (
    SELECT * FROM unnest(
        $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::int[],
        $10::text[], $11::text[], $12::text[], $13::smallint[], $14::text[], $15::text[], $16::text[],
        $17::text[], $18::timestamptz[], $19::timestamptz[], $20::timestamptz[], $21::boolean[],
        $22::uuid[], $23::text[], $24::text[], $25::timestamptz[], $26::text[], $27::text[], $28::bytea[]
    ) AS item (
        id, owner, user_id, external_id, to_address, notification_type, template_code, template_version,
        language, variables, content, priority, lane, category, metadata,
        status, scheduled_at, expires_at, due_at, test,
        batch_id, event_id, correlation_id, created_at, timeline, key, fingerprint
    )
),
won AS (
    INSERT INTO idempotency_keys (owner, key, fingerprint, notification_id, created_at)
    SELECT owner, key, fingerprint, id, created_at FROM item, patience WHERE key IS NOT NULL
    ORDER BY owner, key, id
    ON CONFLICT DO NOTHING
    RETURNING notification_id
),
kept AS MATERIALIZED (
    SELECT * FROM item WHERE key IS NULL OR id IN (SELECT notification_id FROM won)
),
stored AS (
    INSERT INTO notifications (
        id, owner, user_id, external_id, to_address, notification_type, template_code, template_version,
        language, variables, content, priority, lane, category, metadata, status, scheduled_at, expires_at,
        test, batch_id, event_id, correlation_id, created_at, updated_at, timeline
    )
    SELECT
        id, owner, user_id, external_id, to_address, notification_type, template_code, template_version,
        language, variables::jsonb, content::jsonb, priority, lane, category, metadata::jsonb, status,
        scheduled_at, expires_at, test, batch_id, event_id, correlation_id, created_at, created_at,
        timeline::jsonb
    FROM kept
),
queued AS (
    INSERT INTO outbox (notification_id, run, channel, lane, due_at, next_at)
    SELECT id, 1, notification_type, lane, due, greatest(due, now() + $29::float8 * interval '1 second')
    FROM (
        SELECT *, CASE WHEN due_at = created_at THEN now() ELSE due_at END AS due FROM kept
    ) AS kept
)
SELECT id FROM kept
"""

_HOLDERS = """
SELECT held.owner, held.key, held.fingerprint, held.notification_id,
    n.user_id, n.notification_type, n.template_code, n.priority, n.category, n.metadata,
    n.scheduled_at, n.created_at, n.timeline->0->>'status' AS first_status
FROM unnest($1::uuid[], $2::text[]) AS asked (owner, key)
JOIN idempotency_keys AS held ON held.owner = asked.owner AND held.key = asked.key
LEFT JOIN notifications AS n ON n.id = held.notification_id
"""


class InProgress(Exception):
    """Another request with the same key has been neither committed nor given up for `PATIENCE_MS`."""


@dataclass(frozen=True, kw_only=True)
class KeyClaim:
    """An idempotency key, and the SHA-256 of what is asked for with it."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A notification to accept, once for its key where it has one."""

    notification: Notification
    claim: KeyClaim | None


@dataclass(frozen=True, kw_only=True)
class FirstAnswer:
    """What was answered when the notification was accepted."""

    id: UUID
    status: str
    user_id: UUID | None
    notification_type: str
    template_code: str | None
    priority: int
    category: str
    metadata: dict[str, str | bool | int | float | None]
    scheduled_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class KeyHolder:
    """Who holds a key. `first` is None where it is a batch, or the notification is gone."""

    fingerprint: bytes
    first: FirstAnswer | None


async def accept(
    connection: Connection, submissions: Sequence[Submission], *, patience_ms: int = PATIENCE_MS
) -> set[UUID]:
    """Store what is new; the ids of it. What is missing in the answer has lost its key to another.

    Raises InProgress, any asyncpg error that the data cause, and DatabaseUnavailable; then nothing is stored
    (after DatabaseUnavailable: nobody knows).
    """
    arrays = [list(column) for column in zip(*map(_row, submissions), strict=True)]
    try:
        rows = await connection.fetch(_ACCEPT, f"{patience_ms}ms", *arrays, HAND_OFF_GRACE_S)
    except asyncpg.LockNotAvailableError as error:
        raise InProgress from error
    return {row["id"] for row in rows}


async def key_holders(
    connection: Connection, keys: Sequence[tuple[UUID, str]]
) -> dict[tuple[UUID, str], KeyHolder]:
    """Who holds each (owner, key). To be asked in a statement after the one that lost."""
    rows = await connection.fetch(_HOLDERS, [owner for owner, _ in keys], [key for _, key in keys])
    return {
        (row["owner"], row["key"]): KeyHolder(
            fingerprint=row["fingerprint"],
            first=None if row["created_at"] is None else _first_answer(row),
        )
        for row in rows
    }


def _first_answer(row: Any) -> FirstAnswer:
    return FirstAnswer(
        id=row["notification_id"],
        status=row["first_status"],
        user_id=row["user_id"],
        notification_type=row["notification_type"],
        template_code=row["template_code"],
        priority=row["priority"],
        category=row["category"],
        metadata=row["metadata"],
        scheduled_at=row["scheduled_at"],
        created_at=row["created_at"],
    )


def _row(submission: Submission) -> tuple[object, ...]:
    new, claim = submission.notification, submission.claim
    first = TimelineEntry(status=new.status, at=new.created_at)
    return (
        new.id,
        new.owner,
        new.user_id,
        new.external_id,
        new.address,
        new.channel.value,
        new.template_code,
        new.template_version,
        new.language,
        _json(new.variables),
        None if new.content is None else _json(new.content),
        new.priority,
        new.lane.value,
        new.category,
        _json(new.metadata),
        new.status.value,
        new.scheduled_at,
        new.expires_at,
        new.due_at,
        new.test,
        new.batch_id,
        new.event_id,
        new.correlation_id,
        new.created_at,
        _json((first,)),
        None if claim is None else claim.key,
        None if claim is None else claim.fingerprint,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
