"""Queries on `api_keys`."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from user_service.storage.tables import ApiKeyRow, UserRow


@dataclass(frozen=True, kw_only=True)
class StoredApiKey:
    """What checking a key needs; `role` is its owner's as it is now."""

    id: UUID
    owner: UUID
    kind: str
    scopes: Sequence[str]
    role: str


async def add(session: AsyncSession, row: ApiKeyRow) -> ApiKeyRow:
    """Insert."""
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return row


async def newest(
    session: AsyncSession, owner: UUID, *, limit: int, before: UUID | None
) -> Sequence[ApiKeyRow]:
    """At most `limit` of the owner's, newest first, older than `before`."""
    query = select(ApiKeyRow).where(ApiKeyRow.owner == owner).order_by(ApiKeyRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(ApiKeyRow.id < before)
    return (await session.scalars(query)).all()


async def remove(session: AsyncSession, owner: UUID, key_id: UUID) -> bool:
    """Whether the owner had it."""
    removed = await session.execute(
        delete(ApiKeyRow).where(ApiKeyRow.owner == owner, ApiKeyRow.id == key_id).returning(ApiKeyRow.id)
    )
    return removed.one_or_none() is not None


async def find(session: AsyncSession, digest: bytes) -> StoredApiKey | None:
    """By the SHA-256 of the secret."""
    found = await session.execute(
        select(ApiKeyRow.id, ApiKeyRow.owner, ApiKeyRow.kind, ApiKeyRow.scopes, UserRow.role)
        .join(UserRow, UserRow.id == ApiKeyRow.owner)
        .where(ApiKeyRow.digest == digest, UserRow.erased_at.is_(None))
    )
    row = found.one_or_none()
    if row is None:
        return None
    return StoredApiKey(id=row.id, owner=row.owner, kind=row.kind, scopes=row.scopes, role=row.role)
