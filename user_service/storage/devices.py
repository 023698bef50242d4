"""Queries on `devices`."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from user_service.storage.tables import DeviceRow


async def put(session: AsyncSession, row: DeviceRow) -> tuple[DeviceRow, bool]:
    """Insert, or move the device with this digest to the user of `row`. Returns it as it is now, and
    whether it is new to that user: an app's token stays when another person logs in on the device."""
    earlier = await session.scalar(select(DeviceRow.user_id).where(DeviceRow.digest == row.digest))
    stored = await session.scalars(
        insert(DeviceRow)
        .values(
            id=row.id,
            user_id=row.user_id,
            platform=row.platform,
            token=row.token,
            subscription=row.subscription,
            digest=row.digest,
        )
        .on_conflict_do_update(
            index_elements=[DeviceRow.digest],
            set_={
                "user_id": row.user_id,
                "platform": row.platform,
                "token": row.token,
                "subscription": literal_column("excluded.subscription"),
            },
        )
        .returning(DeviceRow),
        execution_options={"populate_existing": True},
    )
    return stored.one(), earlier != row.user_id


async def count(session: AsyncSession, user_id: UUID) -> int:
    """How many the user has."""
    return (
        await session.scalar(select(func.count()).select_from(DeviceRow).where(DeviceRow.user_id == user_id))
    ) or 0


async def newest(
    session: AsyncSession, user_id: UUID, *, limit: int, before: UUID | None
) -> Sequence[DeviceRow]:
    """At most `limit` of the user's, newest first, older than `before`."""
    query = select(DeviceRow).where(DeviceRow.user_id == user_id).order_by(DeviceRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(DeviceRow.id < before)
    return (await session.scalars(query)).all()


async def remove(session: AsyncSession, user_id: UUID, device_id: UUID) -> bool:
    """Whether the user had it."""
    removed = await session.execute(
        delete(DeviceRow)
        .where(DeviceRow.user_id == user_id, DeviceRow.id == device_id)
        .returning(DeviceRow.id)
    )
    return removed.one_or_none() is not None
