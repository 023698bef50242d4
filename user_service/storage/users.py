"""Queries on `users`."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from user_service.storage.tables import ApiKeyRow, DeviceRow, PreferencesRow, RefreshTokenRow, UserRow

_FIELD_BY_INDEX = {"users_account_email": "email", "users_external_id": "external_id"}


class Taken(Exception):
    """Somebody else has this `email` (another account) or `external_id`: `field` says which."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} is taken")
        self.field = field


def email_key(address: str) -> str:
    """What two spellings of one address have in common."""
    return address.lower()


async def add(session: AsyncSession, row: UserRow) -> UserRow:
    """Insert. Raises Taken; the transaction is then of no further use."""
    session.add(row)
    await _flush(session, row)
    return row


async def touch(session: AsyncSession, row: UserRow) -> None:
    """Write what has changed of `row`, and when. Raises Taken, as `add`."""
    row.updated_at = func.now()
    await _flush(session, row)


async def find(session: AsyncSession, user_id: UUID, *, lock: bool = False) -> UserRow | None:
    """By id; `lock` holds the row until the end of the transaction. Erased ones are not found."""
    query = select(UserRow).where(UserRow.id == user_id, UserRow.erased_at.is_(None))
    return (await session.scalars(query.with_for_update() if lock else query)).one_or_none()


async def find_account(session: AsyncSession, email: str) -> UserRow | None:
    """The account that logs in with this address."""
    query = select(UserRow).where(
        UserRow.email_key == email_key(email),
        UserRow.password_hash.is_not(None),
        UserRow.erased_at.is_(None),
    )
    return (await session.scalars(query)).one_or_none()


async def newest(
    session: AsyncSession,
    *,
    limit: int,
    before: UUID | None,
    email: str | None,
    external_id: str | None,
) -> Sequence[UserRow]:
    """At most `limit`, newest first, older than `before`."""
    query = select(UserRow).where(UserRow.erased_at.is_(None)).order_by(UserRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(UserRow.id < before)
    if email is not None:
        query = query.where(UserRow.email_key == email_key(email))
    if external_id is not None:
        query = query.where(UserRow.external_id == external_id)
    return (await session.scalars(query)).all()


async def other_admins(session: AsyncSession, user_id: UUID) -> int:
    """How many administrators there are besides this one. All of them are held until the end of the
    transaction, in one order, so that of two who erase each other at once the second waits and counts
    what the first has left."""
    query = (
        select(UserRow.id)
        .where(UserRow.role == "admin", UserRow.password_hash.is_not(None), UserRow.erased_at.is_(None))
        .order_by(UserRow.id)
        .with_for_update()
    )
    admins = (await session.scalars(query)).all()
    return len([admin for admin in admins if admin != user_id])


async def erase(session: AsyncSession, user_id: UUID) -> bool:
    """Remove everything personal, with devices, keys and tokens; whether there was somebody to erase."""
    erased = await session.execute(
        update(UserRow)
        .where(UserRow.id == user_id, UserRow.erased_at.is_(None))
        .values(
            name="",
            email=None,
            email_key=None,
            phone=None,
            slack_id=None,
            external_id=None,
            language=None,
            timezone="UTC",
            role="user",
            password_hash=None,
            updated_at=func.now(),
            erased_at=func.now(),
        )
        .returning(UserRow.id)
    )
    if erased.one_or_none() is None:
        return False
    await session.execute(delete(PreferencesRow).where(PreferencesRow.user_id == user_id))
    await session.execute(delete(DeviceRow).where(DeviceRow.user_id == user_id))
    await session.execute(delete(RefreshTokenRow).where(RefreshTokenRow.user_id == user_id))
    await session.execute(delete(ApiKeyRow).where(ApiKeyRow.owner == user_id))
    return True


def _violated(error: IntegrityError) -> str:
    """The name of the index, which asyncpg's own exception carries."""
    cause = error.orig.__cause__ if error.orig is not None else None
    return str(getattr(cause, "constraint_name", ""))


async def _flush(session: AsyncSession, row: UserRow) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        field = _FIELD_BY_INDEX.get(_violated(error))
        if field is None:
            raise
        raise Taken(field) from error
    await session.refresh(row)
