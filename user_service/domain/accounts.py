"""Logging in and staying logged in: passwords for tokens, and tokens for new ones.

No transaction is open while a password is hashed: a quarter second each would hold the connections.
"""

from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contracts.http.auth import Credentials, NewAccount, Role, TokenAnswer
from shared.contracts.http.users import User
from shared.database.engine import Database
from shared.process.clock import Clock
from shared.process.identifiers import uuid7
from user_service.domain import secrets, users
from user_service.domain.access_tokens import AccessTokens
from user_service.domain.passwords import Passwords
from user_service.storage import refresh_tokens
from user_service.storage import users as stored_users
from user_service.storage.tables import RefreshTokenRow, UserRow

log = structlog.get_logger()


class NotAuthenticated(Exception):
    """A wrong address or password, or a refresh token that is unknown, expired, ended or used."""


class Accounts:
    """`refresh_ttl` is how long a login can be carried on without a password."""

    def __init__(
        self,
        *,
        database: Database,
        passwords: Passwords,
        access_tokens: AccessTokens,
        clock: Clock,
        refresh_ttl: timedelta,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._access_tokens = access_tokens
        self._clock = clock
        self._refresh_ttl = refresh_ttl

    async def register(self, new: NewAccount, *, origin: users.Origin) -> User:
        """A new account. Raises users.Taken and TooManyLogins."""
        password_hash = await self._passwords.hash(new.password)
        async with self._database.session() as session:
            account = await users.create_account(session, new, origin=origin, password_hash=password_hash)
        log.info("account.registered", user_id=str(account.id), role=account.role.value)
        return account

    async def log_in(self, credentials: Credentials) -> TokenAnswer:
        """Start a family of tokens. Takes the same time whether the address is known or not. Raises
        NotAuthenticated and TooManyLogins."""
        async with self._database.session() as session:
            row = await stored_users.find_account(session, credentials.email)
        matches = await self._passwords.match(credentials.password, row.password_hash if row else None)
        if row is None or not matches:
            log.info("login.refused", known=row is not None)
            raise NotAuthenticated
        async with self._database.session() as session:
            await refresh_tokens.forget_expired(session, row.id, now=self._clock.now())
            return self._pair(session, row.id, Role(row.role), family_id=uuid7())

    async def refresh(self, refresh_token: str) -> TokenAnswer:
        """The next pair of the family. A token that was used before ends the family. Raises
        NotAuthenticated."""
        digest = secrets.digest(refresh_token)
        async with self._database.session() as session:
            account = await _lock_holder(session, digest)
            if account is not None:
                used = await refresh_tokens.use(session, digest, now=self._clock.now())
                if used is not None:
                    return self._pair(session, account.id, Role(account.role), family_id=used.family_id)
                # Committed, since no error leaves the block: the end of the family must outlast the refusal.
                await refresh_tokens.end_family(session, digest)
                log.warning("refresh_token.refused", user_id=str(account.id))
        raise NotAuthenticated

    async def log_out(self, refresh_token: str) -> None:
        """End the family; an unknown token is as good as ended."""
        digest = secrets.digest(refresh_token)
        async with self._database.session() as session:
            if await _lock_holder(session, digest) is not None:
                await refresh_tokens.end_family(session, digest)

    def _pair(self, session: AsyncSession, user_id: UUID, role: Role, *, family_id: UUID) -> TokenAnswer:
        refresh = secrets.new_secret("rt")
        refresh_tokens.add(
            session,
            RefreshTokenRow(
                digest=refresh.digest,
                family_id=family_id,
                user_id=user_id,
                expires_at=self._clock.now() + self._refresh_ttl,
            ),
        )
        return TokenAnswer(
            access_token=self._access_tokens.issue(user_id, role),
            expires_in=self._access_tokens.ttl_s,
            refresh_token=refresh.text,
        )


async def _lock_holder(session: AsyncSession, digest: bytes) -> UserRow | None:
    user_id = await refresh_tokens.find_user(session, digest)
    return None if user_id is None else await stored_users.find(session, user_id, lock=True)
