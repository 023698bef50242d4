"""API keys: a key can never do more than its owner, neither when it is made nor later."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.contracts.http.auth import (
    ROLE_SCOPES,
    ApiKey,
    ApiKeyPage,
    ApiKeyWithSecret,
    NewOwnedApiKey,
    Role,
    Scope,
)
from shared.contracts.http.base import PageQuery
from shared.contracts.recipients import ApiKeyPrincipal
from shared.process.identifiers import uuid7
from user_service.domain import secrets, users
from user_service.domain.pages import cut
from user_service.storage import api_keys
from user_service.storage.tables import ApiKeyRow


class ScopesBeyondOwner(Exception):
    """The key would be allowed more than its owner; `scopes` are those too many."""

    def __init__(self, scopes: list[str]) -> None:
        super().__init__(", ".join(scopes))
        self.scopes = scopes


class ApiKeyUnknown(Exception):
    """There is no such key, or it is somebody else's."""


async def create(session: AsyncSession, new: NewOwnedApiKey) -> ApiKeyWithSecret:
    """Raises UserUnknown (the owner) and ScopesBeyondOwner."""
    owner = await users.require(session, new.owner, lock=True)
    beyond = set(new.scopes) - ROLE_SCOPES[Role(owner.role)]
    if beyond:
        raise ScopesBeyondOwner(sorted(beyond))
    secret = secrets.new_secret(f"ck_{new.kind}")
    row = await api_keys.add(
        session,
        ApiKeyRow(
            id=uuid7(),
            owner=new.owner,
            name=new.name,
            kind=new.kind,
            scopes=sorted(set(new.scopes)),
            digest=secret.digest,
            hint=secret.hint,
        ),
    )
    return ApiKeyWithSecret(**_as_body(row).model_dump(), secret=secret.text)


async def read_page(session: AsyncSession, owner: UUID, wanted: PageQuery) -> ApiKeyPage:
    """The owner's keys, newest first."""
    rows = await api_keys.newest(session, owner, limit=wanted.limit + 1, before=wanted.before)
    page, next_cursor = cut(rows, wanted.limit)
    return ApiKeyPage(items=tuple(_as_body(row) for row in page), next_cursor=next_cursor)


async def remove(session: AsyncSession, owner: UUID, key_id: UUID) -> None:
    """Raises ApiKeyUnknown."""
    if not await api_keys.remove(session, owner, key_id):
        raise ApiKeyUnknown


async def verify(session: AsyncSession, digest: bytes) -> ApiKeyPrincipal:
    """Whose key it is, with those of its scopes that its owner still has. Raises ApiKeyUnknown."""
    stored = await api_keys.find(session, digest)
    if stored is None:
        raise ApiKeyUnknown
    allowed = ROLE_SCOPES[Role(stored.role)]
    return ApiKeyPrincipal(
        key_id=stored.id,
        owner=stored.owner,
        kind=stored.kind,
        scopes=tuple(scope for scope in stored.scopes if scope in allowed),
    )


def _as_body(row: ApiKeyRow) -> ApiKey:
    return ApiKey.model_validate(
        {
            "id": row.id,
            "name": row.name,
            "kind": row.kind,
            "scopes": [Scope(scope) for scope in row.scopes],
            "hint": row.hint,
            "created_at": row.created_at,
        }
    )
