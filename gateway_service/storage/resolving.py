"""Statements that settle what is `unknown`, to be run in one transaction: lock, then write.

Apart from each other, as in outbox.py. Between the lock and the end of the transaction nobody else moves
the notifications, so that of two operators one has an effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from gateway_service.storage.notifications import TimelineEntry
from gateway_service.storage.partitions import id_bound
from gateway_service.storage.reporting import open_runs
from shared.contracts.delivery import DeliveryState
from shared.contracts.http.notification_answers import NotificationStatus
from shared.contracts.http.resolutions import UnknownFilter
from shared.database.engine import Connection

# `$10`: the time of now where what has expired is left out, else null.
_MATCHING = """
FROM notifications
WHERE status = 'unknown' AND id >= $1 AND id < $2
    AND ($3::uuid IS NULL OR owner = $3)
    AND ($4::text IS NULL OR notification_type = $4)
    AND ($5::text IS NULL OR template_code = $5)
    AND ($6::text IS NULL OR category = $6)
    AND ($7::uuid IS NULL OR user_id = $7)
    AND ($8::uuid IS NULL OR batch_id = $8)
    AND ($9::text IS NULL OR event_id = $9)
    AND ($10::timestamptz IS NULL OR expires_at IS NULL OR expires_at > $10)
"""
_LAST_ID = UUID(int=2**128 - 1)


@dataclass(frozen=True, kw_only=True)
class Doubtful:
    """A notification that is locked to be settled."""

    id: UUID
    status: NotificationStatus
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class UnknownSelection:
    """Which of the `unknown`. `owner`: only what belongs to that account; None: whosever it is.
    `not_expired_at`: only what may still be sent then; None: whatever its time."""

    filter: UnknownFilter
    owner: UUID | None
    not_expired_at: datetime | None


async def lock_doubtful(connection: Connection, identifier: UUID, *, owner: UUID | None) -> Doubtful | None:
    """Whatever its status; None where there is none that belongs to `owner`."""
    row = await connection.fetchrow(
        """
        SELECT id, status, expires_at FROM notifications
        WHERE id = $1 AND ($2::uuid IS NULL OR owner = $2) FOR UPDATE
        """,
        identifier,
        owner,
    )
    if row is None:
        return None
    return Doubtful(id=row["id"], status=NotificationStatus(row["status"]), expires_at=row["expires_at"])


async def lock_unknown(
    connection: Connection, selection: UnknownSelection, *, after: UUID, limit: int
) -> list[UUID]:
    """Those selected with an id above `after`, in the order of ids; not what somebody else is moving now."""
    rows = await connection.fetch(
        f"SELECT id {_MATCHING} AND id > $11 ORDER BY id LIMIT $12 FOR UPDATE SKIP LOCKED",
        *_values(selection),
        after,
        limit,
    )
    return [row["id"] for row in rows]


async def count_unknown(connection: Connection, selection: UnknownSelection, *, most: int) -> int:
    """How many are selected, counted up to `most`."""
    return int(
        await connection.fetchval(
            f"SELECT count(*) FROM (SELECT {_MATCHING} LIMIT $11) AS found",  # noqa: S608
            *_values(selection),
            most,
        )
    )


async def settle_as_sent(connection: Connection, ids: Sequence[UUID], *, by: str, at: datetime) -> None:
    """Nothing more is to be done for these. `by` is written into their timelines."""
    await connection.execute(
        """
        UPDATE notifications
        SET status = 'sent', error = NULL, error_kind = NULL, updated_at = $2,
            timeline = timeline || $3::text::jsonb
        WHERE id = ANY($1::uuid[])
        """,
        list(ids),
        at,
        _timeline(NotificationStatus.SENT, at, f"Settled as sent by {by}"),
    )


async def send_again(connection: Connection, ids: Sequence[UUID], *, by: str, at: datetime) -> None:
    """Open the next run of these, due now; the sweep releases it, with the version that was pinned."""
    rows = await connection.fetch(
        """
        UPDATE notifications
        SET status = 'accepted', run = run + 1, possible_duplicate = true, error = NULL, error_kind = NULL,
            updated_at = $2, timeline = timeline || $3::text::jsonb
        WHERE id = ANY($1::uuid[])
        RETURNING id, run
        """,
        list(ids),
        at,
        _timeline(NotificationStatus.ACCEPTED, at, f"Sent again by {by}, although it may have gone out"),
    )
    # What may have been reached is sent to again: that was decided just now.
    runs = [(row["id"], row["run"], None) for row in rows]
    await open_runs(connection, runs, left_out=(DeliveryState.SENT,))


def _timeline(status: NotificationStatus, at: datetime, detail: str) -> str:
    return msgspec.json.encode((TimelineEntry(status=status, at=at, detail=detail),)).decode()


def _values(selection: UnknownSelection) -> tuple[object, ...]:
    wanted = selection.filter
    return (
        UUID(int=0) if wanted.created_after is None else id_bound(wanted.created_after),
        _LAST_ID if wanted.created_before is None else id_bound(wanted.created_before),
        selection.owner,
        None if wanted.notification_type is None else wanted.notification_type.value,
        wanted.template_code,
        wanted.category,
        wanted.user_id,
        wanted.batch_id,
        wanted.event_id,
        selection.not_expired_at,
    )
