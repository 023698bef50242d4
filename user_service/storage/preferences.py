"""Queries on `preferences`."""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from user_service.storage.tables import PreferencesRow


@dataclass(frozen=True, kw_only=True)
class StoredPreferences:
    """As in the row; channels that `enabled` does not name are on. `quiet_hours`: start and end."""

    enabled: dict[str, bool] = field(default_factory=dict)
    categories: dict[str, dict[str, bool]] = field(default_factory=dict)
    quiet_hours: tuple[str, str] | None = None


async def find(session: AsyncSession, user_id: UUID) -> StoredPreferences:
    """What the person has chosen; the defaults where nothing was."""
    row = await session.get(PreferencesRow, user_id)
    if row is None:
        return StoredPreferences()
    quiet = (row.quiet_start, row.quiet_end)
    return StoredPreferences(
        enabled=row.enabled,
        categories=row.categories,
        quiet_hours=None if quiet[0] is None or quiet[1] is None else (quiet[0], quiet[1]),
    )


async def store(session: AsyncSession, user_id: UUID, chosen: StoredPreferences) -> None:
    """Replace what the person has chosen."""
    start, end = chosen.quiet_hours or (None, None)
    values = {
        "enabled": chosen.enabled,
        "categories": chosen.categories,
        "quiet_start": start,
        "quiet_end": end,
    }
    await session.execute(
        insert(PreferencesRow)
        .values(user_id=user_id, **values)
        .on_conflict_do_update(index_elements=[PreferencesRow.user_id], set_=values)
    )
