"""Who a caller is, and what they may do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from shared.contracts.http.auth import Role, Scope

_SCOPES = frozenset(scope.value for scope in Scope)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """An authenticated caller. `owner` is the account that credentials belong to: a person's own, or that
    of whoever made the API key; it outlives a rotated key. `user_id` is the person, None for an API key:
    a key is nobody, and has nothing of its own; `key_id` names it. `test`: what it sends stops short of the
    provider."""

    owner: UUID
    user_id: UUID | None
    role: Role | None
    scopes: frozenset[Scope]
    kind: Literal["user", "api_key"]
    test: bool
    key_id: UUID | None = None

    def may(self, scope: Scope) -> bool:
        """Whether the caller has the scope."""
        return scope in self.scopes

    @property
    def name(self) -> str:
        """For records of what was done: an id, never an address."""
        return f"account {self.user_id}" if self.user_id is not None else f"API key {self.key_id}"

    def is_person(self, user_id: UUID) -> bool:
        """Whether the caller is this very person."""
        return self.user_id == user_id


def known_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Those that this version knows: a newer user service may speak of more."""
    return frozenset(Scope(name) for name in names if name in _SCOPES)


class InvalidCredentials(Exception):
    """Not ours, forged, expired or revoked."""
