"""Checking access tokens with nothing but public keys, so that they hold while the user service is away."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
import structlog
from pydantic import ValidationError

from gateway_service.domain.access import InvalidCredentials, Principal, known_scopes
from shared.clients.peer import PeerUnavailable
from shared.contracts.http.auth import (
    TOKEN_ALGORITHMS,
    TOKEN_AUDIENCE,
    TOKEN_ISSUER,
    TOKEN_TYPE,
    JsonWebKeySet,
    Role,
)

log = structlog.get_logger()

MAX_TOKEN_LENGTH = 4_096
LEEWAY_S = 5
REFETCH_S = 10.0
"""An unknown key id has the keys fetched again, at most this often: anybody can make one up."""
RETRY_S = 1.0
"""… and this often while they cannot be fetched."""
REFRESH_S = 300.0
"""Keys in use are looked at again after this, so that one that was withdrawn stops to count."""


@dataclass(frozen=True, kw_only=True)
class _Fetched:
    at: float
    worked: bool


class AccessTokenVerifier:
    """`fetch` gives the key set as JSON and raises PeerUnavailable."""

    def __init__(
        self, fetch: Callable[[], Awaitable[bytes]], *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._monotonic_s = monotonic_s
        self._keys: dict[str, jwt.PyJWK] = {}
        self._key_set = JsonWebKeySet(keys=())
        self._last = _Fetched(at=float("-inf"), worked=False)
        self._one_at_a_time = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    async def verify(self, token: str) -> Principal:
        """Whose token it is. Raises InvalidCredentials; PeerUnavailable where the key is not known and the
        keys cannot be fetched."""
        key = await self._key(_key_id(token))
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=TOKEN_AUDIENCE,
                issuer=TOKEN_ISSUER,
                leeway=LEEWAY_S,
                options={"require": ["iss", "aud", "sub", "exp", "iat", "jti"]},
            )
            user_id = UUID(claims["sub"])
            scopes = known_scopes(claims["scopes"])
            role = Role(claims["role"])
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError) as error:
            raise InvalidCredentials from error
        return Principal(owner=user_id, user_id=user_id, role=role, scopes=scopes, kind="user", test=False)

    async def key_set(self) -> JsonWebKeySet:
        """The public keys, for others to check tokens with. Raises PeerUnavailable."""
        if not self._keys:
            await self._fetch_again()
        return self._key_set

    async def close(self) -> None:
        """Ends what goes on in the background."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    async def _key(self, key_id: str) -> jwt.PyJWK:
        key = self._keys.get(key_id)
        if key is None:
            await self._fetch_again()
            key = self._keys.get(key_id)
        elif self._monotonic_s() - self._last.at > REFRESH_S and self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
        if key is None:
            raise InvalidCredentials
        return key

    async def _refresh(self) -> None:
        try:
            await self._fetch_again()
        except PeerUnavailable:
            log.warning("key_set.kept", reason="the user service does not answer")
        finally:
            self._refreshing = None

    async def _fetch_again(self) -> None:
        """Unless that was done a moment ago. Raises PeerUnavailable where it did not work."""
        async with self._one_at_a_time:
            pause_s = REFETCH_S if self._last.worked else RETRY_S
            if self._monotonic_s() - self._last.at >= pause_s:
                asked_at, worked = self._monotonic_s(), False
                try:
                    self._take(await self._fetch())
                    worked = True
                finally:
                    # Those who wait behind a question that nobody answers are not to ask it one by one.
                    self._last = _Fetched(at=asked_at if worked else self._monotonic_s(), worked=worked)
            elif not self._last.worked:
                raise PeerUnavailable("user_service", "the keys of access tokens could not be fetched")

    def _take(self, body: bytes) -> None:
        try:
            key_set = JsonWebKeySet.model_validate_json(body)
            keys = {
                key.kid: jwt.PyJWK(key.model_dump(exclude_none=True), algorithm=key.alg)
                for key in key_set.keys
            }
        except (ValidationError, jwt.PyJWTError) as error:
            raise PeerUnavailable("user_service", "the key set cannot be read") from error
        self._key_set, self._keys = key_set, keys


def _key_id(token: str) -> str:
    """What the token's header names. Raises InvalidCredentials where it is none of our tokens."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidCredentials
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError as error:
        raise InvalidCredentials from error
    key_id = header.get("kid")
    if header.get("alg") not in TOKEN_ALGORITHMS or header.get("typ") != TOKEN_TYPE or not key_id:
        raise InvalidCredentials
    return str(key_id)
