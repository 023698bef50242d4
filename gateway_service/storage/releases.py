"""What is needed to release a notification: read for the sweep, and the pinned version written."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from gateway_service.storage.notifications import Notification
from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import InlineMessage
from shared.contracts.http.notification_answers import NotificationStatus
from shared.database.engine import Connection


async def load_notifications(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Notification]:
    """As they stand now, by id; what is gone is not in it."""
    rows = await connection.fetch("SELECT * FROM notifications WHERE id = ANY($1::uuid[])", list(ids))
    return {row["id"]: _notification(row) for row in rows}


async def pin_versions(connection: Connection, pins: Sequence[tuple[UUID, int]]) -> None:
    """Write the template versions that were found at release. Within the open transaction."""
    ids = [pin[0] for pin in pins]
    # Apart from the update, as in outbox.py.
    await connection.execute(
        "SELECT FROM notifications WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE", ids
    )
    await connection.execute(
        """
        UPDATE notifications AS n SET template_version = pin.version
        FROM unnest($1::uuid[], $2::int[]) AS pin (id, version) WHERE n.id = pin.id
        """,
        ids,
        [pin[1] for pin in pins],
    )


def _notification(row: Any) -> Notification:
    return Notification(
        id=row["id"],
        owner=row["owner"],
        user_id=row["user_id"],
        external_id=row["external_id"],
        address=row["to_address"],
        channel=Channel(row["notification_type"]),
        template_code=row["template_code"],
        template_version=row["template_version"],
        language=row["language"],
        variables=row["variables"],
        content=None if row["content"] is None else msgspec.convert(row["content"], InlineMessage),
        priority=row["priority"],
        lane=Lane(row["lane"]),
        category=row["category"],
        metadata=row["metadata"],
        status=NotificationStatus(row["status"]),
        run=row["run"],
        scheduled_at=row["scheduled_at"],
        expires_at=row["expires_at"],
        due_at=row["scheduled_at"] or row["created_at"],
        test=row["test"],
        batch_id=row["batch_id"],
        event_id=row["event_id"],
        correlation_id=row["correlation_id"],
        created_at=row["created_at"],
        excluded_targets=tuple(row["excluded_targets"] or ()),
    )
