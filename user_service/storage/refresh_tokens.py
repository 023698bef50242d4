"""Queries on `refresh_tokens`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from user_service.storage.tables import RefreshTokenRow


def add(session: AsyncSession, row: RefreshTokenRow) -> None:
    """Insert with the next flush."""
    session.add(row)


async def find_user(session: AsyncSession, digest: bytes) -> UUID | None:
    """Whose token it is. Lock that user before `use` and `end_family`: else a token made at the same moment
    would outlive its family."""
    return await session.scalar(select(RefreshTokenRow.user_id).where(RefreshTokenRow.digest == digest))


async def use(session: AsyncSession, digest: bytes, *, now: datetime) -> RefreshTokenRow | None:
    """Use a token up; None where it is unknown, expired, or used already."""
    used = await session.scalars(
        update(RefreshTokenRow)
        .where(
            RefreshTokenRow.digest == digest,
            RefreshTokenRow.used_at.is_(None),
            RefreshTokenRow.expires_at > now,
        )
        .values(used_at=now)
        .returning(RefreshTokenRow)
    )
    return used.one_or_none()


async def end_family(session: AsyncSession, digest: bytes) -> None:
    """Delete every token of the family that `digest` is of."""
    family = select(RefreshTokenRow.family_id).where(RefreshTokenRow.digest == digest).scalar_subquery()
    await session.execute(
        delete(RefreshTokenRow)
        .where(RefreshTokenRow.family_id == family)
        .execution_options(synchronize_session=False)
    )


async def forget_expired(session: AsyncSession, user_id: UUID, *, now: datetime) -> None:
    """Delete the user's expired tokens: done at each login, so that no sweep is needed."""
    await session.execute(
        delete(RefreshTokenRow)
        .where(RefreshTokenRow.user_id == user_id, RefreshTokenRow.expires_at <= now)
        .execution_options(synchronize_session=False)
    )
