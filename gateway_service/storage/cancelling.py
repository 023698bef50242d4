"""Cancelling: a conditional change that races the release."""

from datetime import datetime
from enum import Enum, auto
from uuid import UUID

import msgspec

from gateway_service.storage.notifications import TimelineEntry
from shared.contracts.http.notification_answers import NotificationStatus
from shared.database.engine import Connection


class Cancelling(Enum):
    """What came of it."""

    DONE = auto()
    TOO_LATE = auto()
    NOT_FOUND = auto()


async def cancel(connection: Connection, identifier: UUID, *, owner: UUID | None, at: datetime) -> Cancelling:
    """Within the open transaction; `owner` None: whosever it is. The race is decided at the outbox entry:
    once somebody has claimed it for publishing, it may be with the broker, and cancelling is too late."""
    run = await connection.fetchval(
        "SELECT run FROM notifications WHERE id = $1 AND ($2::uuid IS NULL OR owner = $2) FOR UPDATE",
        identifier,
        owner,
    )
    if run is None:
        return Cancelling.NOT_FOUND
    taken_back = await connection.fetchval(
        """
        DELETE FROM outbox AS entry USING notifications AS n
        WHERE entry.notification_id = $1 AND entry.run = $2 AND n.id = $1
            AND n.status IN ('scheduled', 'deferred')
            AND entry.published_at IS NULL AND entry.publish_count = 0
        RETURNING true
        """,
        identifier,
        run,
    )
    if not taken_back:
        return Cancelling.TOO_LATE
    entry = TimelineEntry(status=NotificationStatus.CANCELLED, at=at)
    await connection.execute(
        """
        UPDATE notifications
        SET status = 'cancelled', updated_at = $2, timeline = timeline || $3::text::jsonb
        WHERE id = $1
        """,
        identifier,
        at,
        msgspec.json.encode((entry,)).decode(),
    )
    return Cancelling.DONE
