"""Recipients: who may share an address, and who vouches for it.

Several people may have one mail address, but only one account logs in with it. An address counts as a
person's own (`verified`) only with their proof; until then an account that registered with the address of
a recipient stays somebody else, and takes nothing over from them.
"""

from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.contracts.http.auth import NewAccount, Role
from shared.contracts.http.users import NewUser, User, UserChange, UserFilter, UserPage
from shared.process.identifiers import uuid7
from user_service.domain.pages import cut
from user_service.storage import users
from user_service.storage.tables import UserRow

Origin = Literal["verified", "organisation", "self"]
"""Who vouches for an address: the person's proof, whoever has `users:write`, or the person's bare word."""


class UserUnknown(Exception):
    """There is nobody with this id, or no longer."""


class EmailNeeded(Exception):
    """An account cannot be without an address."""


class LastAdmin(Exception):
    """Without an administrator nobody could make another one."""


async def create(session: AsyncSession, new: NewUser, *, password_hash: str | None) -> User:
    """A recipient, one with a login where there is a password. Raises users.Taken."""
    row = UserRow(
        id=uuid7(),
        name=new.name,
        phone=new.phone,
        slack_id=new.slack_id,
        external_id=new.external_id,
        language=new.language,
        timezone=new.timezone,
        role=Role.USER,
        password_hash=password_hash,
    )
    _set_email(row, new.email, origin="organisation")
    return as_body(await users.add(session, row))


async def create_account(
    session: AsyncSession, new: NewAccount, *, origin: Origin, password_hash: str
) -> User:
    """An account. Raises users.Taken."""
    row = UserRow(id=uuid7(), name=new.name, timezone="UTC", role=new.role.value, password_hash=password_hash)
    _set_email(row, new.email, origin=origin)
    return as_body(await users.add(session, row))


async def read(session: AsyncSession, user_id: UUID) -> User:
    """Raises UserUnknown."""
    return as_body(await require(session, user_id))


async def read_page(session: AsyncSession, wanted: UserFilter) -> UserPage:
    """A part of the list, newest first."""
    rows = await users.newest(
        session,
        limit=wanted.limit + 1,
        before=wanted.before,
        email=wanted.email,
        external_id=wanted.external_id,
    )
    page, next_cursor = cut(rows, wanted.limit)
    return UserPage(items=tuple(as_body(row) for row in page), next_cursor=next_cursor)


async def change(session: AsyncSession, user_id: UUID, wanted: UserChange, *, origin: Origin) -> User:
    """Change what is given. A new address is vouched for by `origin`. Raises UserUnknown, EmailNeeded and
    users.Taken."""
    row = await require(session, user_id, lock=True)
    given = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    if "email" in given:
        email = given.pop("email")
        if email is None and row.password_hash is not None:
            raise EmailNeeded
        if email != row.email:
            _set_email(row, email, origin=origin)
    for name, value in given.items():
        setattr(row, name, value)
    if wanted.model_fields_set:
        await users.touch(session, row)
    return as_body(row)


async def erase(session: AsyncSession, user_id: UUID) -> None:
    """Remove everything personal for good. Raises UserUnknown and LastAdmin."""
    row = await require(session, user_id)
    if row.role == Role.ADMIN and not await users.other_admins(session, user_id):
        raise LastAdmin
    if not await users.erase(session, user_id):
        raise UserUnknown


async def require(session: AsyncSession, user_id: UUID, *, lock: bool = False) -> UserRow:
    """The row. Raises UserUnknown."""
    row = await users.find(session, user_id, lock=lock)
    if row is None:
        raise UserUnknown
    return row


def as_body(row: UserRow) -> User:
    """The public body."""
    return User(
        id=row.id,
        name=row.name,
        email=row.email,
        email_verified=row.email is not None and row.email_origin == "verified",
        phone=row.phone,
        slack_id=row.slack_id,
        external_id=row.external_id,
        language=row.language,
        timezone=row.timezone,
        role=Role(row.role),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _set_email(row: UserRow, email: str | None, *, origin: Origin) -> None:
    row.email = email
    row.email_key = None if email is None else users.email_key(email)
    row.email_origin = origin
