"""What a person wants to get, and how a change is merged into it."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.contracts.http.users import ChannelName, Preferences, PreferencesChange, QuietHoursBody
from user_service.domain import users
from user_service.storage import preferences as stored_preferences
from user_service.storage import users as stored_users
from user_service.storage.preferences import StoredPreferences
from user_service.storage.tables import UserRow

MAX_CATEGORIES = 100
_SWITCHES = tuple(name for name in Preferences.model_fields if name.endswith("_enabled"))


class TooManyCategories(Exception):
    """More than 100 after the merge."""


async def read(session: AsyncSession, user_id: UUID) -> Preferences:
    """Raises UserUnknown."""
    return await _read(session, await users.require(session, user_id))


async def replace(session: AsyncSession, user_id: UUID, wanted: Preferences) -> Preferences:
    """Raises UserUnknown."""
    return await _write(session, await users.require(session, user_id, lock=True), wanted)


async def change(session: AsyncSession, user_id: UUID, wanted: PreferencesChange) -> Preferences:
    """Raises UserUnknown and TooManyCategories."""
    row = await users.require(session, user_id, lock=True)
    return await _write(session, row, merge(await _read(session, row), wanted))


def merge(current: Preferences, change: PreferencesChange) -> Preferences:
    """The change as a merge patch (RFC 7396): what it does not name stays, null removes, categories are
    merged channel by channel. Raises TooManyCategories."""
    given = {name: getattr(change, name) for name in change.model_fields_set if name != "categories"}
    categories = _merge_categories(current.categories, change.categories)
    if len(categories) > MAX_CATEGORIES:
        raise TooManyCategories
    return current.model_copy(update={**given, "categories": categories})


def to_stored(preferences: Preferences) -> StoredPreferences:
    """As the row holds them; time zone and language are the person's own, and stand in `users`."""
    quiet = preferences.quiet_hours
    return StoredPreferences(
        enabled={name.removesuffix("_enabled"): getattr(preferences, name) for name in _SWITCHES},
        categories={
            category: {channel: on for channel, on in choice.items()}  # noqa: C416 - dict() keeps the narrow key type
            for category, choice in preferences.categories.items()
        },
        quiet_hours=None if quiet is None else (quiet.start, quiet.end),
    )


def from_stored(stored: StoredPreferences, *, timezone: str, language: str | None) -> Preferences:
    """As they are answered."""
    quiet = stored.quiet_hours
    return Preferences.model_validate(
        {
            **{f"{channel}_enabled": on for channel, on in stored.enabled.items()},
            "categories": stored.categories,
            "quiet_hours": None if quiet is None else QuietHoursBody(start=quiet[0], end=quiet[1]),
            "timezone": timezone,
            "language": language,
        }
    )


async def _read(session: AsyncSession, row: UserRow) -> Preferences:
    stored = await stored_preferences.find(session, row.id)
    return from_stored(stored, timezone=row.timezone, language=row.language)


async def _write(session: AsyncSession, row: UserRow, wanted: Preferences) -> Preferences:
    await stored_preferences.store(session, row.id, to_stored(wanted))
    row.timezone, row.language = wanted.timezone, wanted.language
    await stored_users.touch(session, row)
    return wanted


def _merge_categories(
    current: dict[str, dict[ChannelName, bool]],
    change: dict[str, dict[ChannelName, bool | None] | None],
) -> dict[str, dict[ChannelName, bool]]:
    merged = {category: dict(choice) for category, choice in current.items()}
    for category, choice in change.items():
        kept = merged.pop(category, {})
        for channel, on in (choice or {}).items():
            if on is None:
                kept.pop(channel, None)
            else:
                kept[channel] = on
        if choice is not None and kept:
            merged[category] = kept
    return merged
