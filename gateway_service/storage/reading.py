"""Queries for people: one notification with everything, and lists, newest first."""

from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from gateway_service.storage.notifications import TimelineEntry
from gateway_service.storage.partitions import id_bound
from gateway_service.storage.tables import NotificationRow, TargetRow
from shared.contracts.channels import Channel
from shared.contracts.delivery import Attempt
from shared.contracts.http.notification_answers import (
    AttemptItem,
    NotificationDetail,
    NotificationItem,
    NotificationQuery,
    NotificationStatus,
    TimelineItem,
)


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """Sees what `owner` sent and what is addressed to `user_id`; everything where both are None."""

    owner: UUID | None
    user_id: UUID | None


async def find_notification(
    session: AsyncSession, identifier: UUID, viewer: Viewer
) -> NotificationDetail | None:
    """None where there is none that the viewer may see."""
    found = await session.scalar(
        _visible(select(NotificationRow), viewer)
        .where(NotificationRow.id == identifier)
        .options(undefer(NotificationRow.timeline))
    )
    if found is None:
        return None
    attempts = await list_attempts(session, identifier)
    entries = msgspec.convert(found.timeline, tuple[TimelineEntry, ...])
    return NotificationDetail(
        **_item(found).model_dump(),
        language=found.language,
        template_version=found.template_version,
        correlation_id=found.correlation_id,
        attempts=tuple(attempts),
        timeline=tuple(
            TimelineItem(status=entry.status, at=entry.at, detail=entry.detail) for entry in entries
        ),
    )


async def list_attempts(session: AsyncSession, identifier: UUID) -> list[AttemptItem]:
    """Every call of a provider for a notification, in the order in which they were made."""
    targets = await session.scalars(
        select(TargetRow)
        .where(TargetRow.notification_id == identifier)
        .order_by(TargetRow.run, TargetRow.target)
    )
    items = [
        AttemptItem.of(attempt, run=target.run, target=target.target)
        for target in targets
        for attempt in msgspec.convert(target.attempts, tuple[Attempt, ...])
    ]
    return sorted(items, key=lambda item: (item.run, item.started_at))


async def list_notifications(
    session: AsyncSession, query: NotificationQuery, viewer: Viewer
) -> list[NotificationItem]:
    """One more than `query.limit` where there is a next page. Time is asked by id, which begins with it,
    so that only the months in question are read."""
    statement = _visible(select(NotificationRow), viewer)
    for column, wanted in (
        (NotificationRow.user_id, query.user_id),
        (NotificationRow.status, query.status),
        (NotificationRow.notification_type, query.notification_type),
        (NotificationRow.template_code, query.template_code),
        (NotificationRow.category, query.category),
        (NotificationRow.batch_id, query.batch_id),
        (NotificationRow.event_id, query.event_id),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if query.created_after is not None:
        statement = statement.where(NotificationRow.id >= id_bound(query.created_after))
    if query.created_before is not None:
        statement = statement.where(NotificationRow.id < id_bound(query.created_before))
    if query.before is not None:
        statement = statement.where(NotificationRow.id < query.before)
    rows = await session.scalars(statement.order_by(NotificationRow.id.desc()).limit(query.limit + 1))
    return [_item(row) for row in rows]


def _visible(statement: Select[NotificationRow], viewer: Viewer) -> Select[NotificationRow]:
    conditions = []
    if viewer.owner is not None:
        conditions.append(NotificationRow.owner == viewer.owner)
    if viewer.user_id is not None:
        conditions.append(NotificationRow.user_id == viewer.user_id)
    return statement.where(or_(*conditions)) if conditions else statement


def _item(row: NotificationRow) -> NotificationItem:
    return NotificationItem(
        id=row.id,
        status=NotificationStatus(row.status),
        user_id=row.user_id,
        notification_type=Channel(row.notification_type),
        template_code=row.template_code,
        priority=row.priority,
        category=row.category,
        metadata=row.given_metadata,
        scheduled_at=row.scheduled_at,
        created_at=row.created_at,
        error=row.error,
        error_type=row.error_kind,
        possible_duplicate=row.possible_duplicate,
        batch_id=row.batch_id,
        expires_at=row.expires_at,
        test=row.test,
        updated_at=row.updated_at,
    )
