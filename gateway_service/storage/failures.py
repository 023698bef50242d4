"""Failed deliveries, parked for an operator with everything that is known of them."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from shared.contracts.delivery import DeliveryParked, TemplateMessage
from shared.database.engine import Connection


@dataclass(frozen=True, kw_only=True)
class FailedDelivery:
    """A target that failed, with its message and its whole history."""

    id: UUID
    parked: DeliveryParked
    at: datetime


@dataclass(frozen=True, kw_only=True)
class UnreadableMessage:
    """What came in failed.queue and is no message of ours; kept with its bytes."""

    id: UUID
    raw: bytes
    error: str
    error_kind: str
    at: datetime


async def keep_failure(connection: Connection, failure: FailedDelivery) -> bool:
    """Once for each notification, target and run; within the transaction that has locked the notification.
    Where a later run is under way already, nobody has to look at this one. False where it was kept before."""
    report, request = failure.parked.report, failure.parked.request
    message = request.message
    kept = await connection.fetchval(
        """
        INSERT INTO failed (
            id, notification_id, target, run, notification_type, template_code, provider, error, error_kind,
            request, history, stack, created_at, owner, status, closed_at, closed_by
        )
        SELECT $1::uuid, $2::uuid, $3, $4::int, $5, $6, $7, $8, $9, $10::text::jsonb, $11::text::jsonb, $12,
            $13::timestamptz, n.owner,
            CASE WHEN n.run > $4::int THEN 'reprocessed' ELSE 'open' END,
            CASE WHEN n.run > $4::int THEN $13::timestamptz END,
            CASE WHEN n.run > $4::int THEN 'a later run' END
        FROM (SELECT) AS one LEFT JOIN notifications AS n ON n.id = $2::uuid
        ON CONFLICT DO NOTHING RETURNING true
        """,
        failure.id,
        report.notification_id,
        report.target,
        report.run,
        report.channel.value,
        message.code if isinstance(message, TemplateMessage) else None,
        report.provider,
        "Failed" if report.problem is None else report.problem.message,
        "unknown" if report.problem is None else report.problem.kind,
        msgspec.json.encode(request).decode(),
        msgspec.json.encode(report.attempts).decode(),
        failure.parked.stack,
        failure.at,
    )
    return bool(kept)


async def keep_unreadable(connection: Connection, message: UnreadableMessage) -> None:
    """Once for the same bytes."""
    await connection.execute(
        """
        INSERT INTO failed (id, error, error_kind, history, raw, raw_digest, created_at)
        VALUES ($1, $2, $3, '[]'::jsonb, $4, $5, $6) ON CONFLICT DO NOTHING
        """,
        message.id,
        message.error,
        message.error_kind,
        message.raw,
        hashlib.sha256(message.raw).digest(),
        message.at,
    )


async def count_open(connection: Connection) -> int:
    """How many wait for an operator."""
    return int(await connection.fetchval("SELECT count(*) FROM failed WHERE status = 'open'"))
