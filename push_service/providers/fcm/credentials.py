"""The Google service account, and the OAuth access token it is exchanged for (RFC 7523).

Protocol: developers.google.com/identity/protocols/oauth2/service-account, "HTTP/REST".
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import jwt
import msgspec

from shared.process.clock import Clock

_SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_LIFETIME_S: Final = 3600
_RENEW_BEFORE: Final = timedelta(seconds=60)
_SHORTEST_LIFE: Final = timedelta(seconds=5)


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that are used of a service-account key file."""

    project_id: str
    client_email: str
    private_key: str
    token_uri: str
    private_key_id: str | None = None

    def __repr__(self) -> str:
        """Without the key."""
        return f"ServiceAccount(project_id={self.project_id!r})"


class _TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: int = 3600


class NoAccessToken(Exception):
    """`misconfigured`: the account or its key was refused, so that trying again does not help by itself."""

    def __init__(self, reason: str, *, misconfigured: bool) -> None:
        super().__init__(reason)
        self.misconfigured = misconfigured


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """A bearer token, and the project it is good for."""

    token: str
    project_id: str

    def __repr__(self) -> str:
        """Without the token."""
        return f"Access(project_id={self.project_id!r})"


def read_service_account(path: Path | None) -> ServiceAccount:
    """Read a key file. Raises ValueError, without its content, where it is missing, unreadable or wrong."""
    if path is None:
        raise ValueError("CARILLON_FCM_CREDENTIALS_FILE is not set.")
    try:
        account = msgspec.json.decode(path.read_bytes(), type=ServiceAccount)
        jwt.get_algorithm_by_name("RS256").prepare_key(account.private_key)
    except OSError as error:
        raise ValueError(f"The service-account key {path} cannot be read: {error.strerror}.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"{path} is not a service-account key.") from None
    except (jwt.PyJWTError, ValueError, TypeError):
        raise ValueError(f"The private key in {path} is not an RSA key in PEM.") from None
    return account


class AccessTokens:
    """Gives out an access token, fetched when there is none and renewed 60 s before it expires; however
    many ask at once, it is fetched once.

    The account is read anew for each token, so that a key that was put right or exchanged needs no restart.
    """

    def __init__(
        self, read_account: Callable[[], ServiceAccount], *, client: httpx.AsyncClient, clock: Clock
    ) -> None:
        self._read_account = read_account
        self._client = client
        self._clock = clock
        self._access: Access | None = None
        self._renew_at = datetime.min.replace(tzinfo=UTC)
        self._lock = asyncio.Lock()

    async def current(self) -> Access:
        """A token good for a call. Raises NoAccessToken."""
        async with self._lock:
            if self._access is None or self._clock.now() >= self._renew_at:
                self._access = await self._fetch()
            return self._access

    def discard(self, access: Access) -> None:
        """Forget a token that was refused, unless it was replaced already."""
        if access is self._access:
            self._access = None

    async def _fetch(self) -> Access:
        try:
            account = self._read_account()
        except ValueError as error:
            raise NoAccessToken(str(error).removesuffix("."), misconfigured=True) from error
        asked_at = self._clock.now()
        answer = await self._ask(account, _assertion(account, asked_at))
        lifetime = timedelta(seconds=answer.expires_in)
        self._renew_at = asked_at + max(lifetime - _RENEW_BEFORE, min(lifetime, _SHORTEST_LIFE))
        return Access(token=answer.access_token, project_id=account.project_id)

    async def _ask(self, account: ServiceAccount, assertion: str) -> _TokenAnswer:
        try:
            response = await self._client.post(
                account.token_uri, data={"grant_type": _GRANT, "assertion": assertion}
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAccessToken(
                f"the token endpoint cannot be reached ({type(error).__name__})", misconfigured=False
            ) from error
        if response.status_code != 200:
            # invalid_grant and its kin come as 400 or 401: the account, its key or our clock is wrong.
            raise NoAccessToken(
                f"the token endpoint answered {response.status_code}",
                misconfigured=400 <= response.status_code < 500 and response.status_code not in (408, 429),
            )
        try:
            return msgspec.json.decode(response.content, type=_TokenAnswer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise NoAccessToken("the token endpoint's answer is not readable", misconfigured=False) from None


def _assertion(account: ServiceAccount, now: datetime) -> str:
    issued_at = int(now.timestamp())
    return jwt.encode(
        {
            "iss": account.client_email,
            "scope": _SCOPE,
            "aud": account.token_uri,
            "iat": issued_at,
            "exp": issued_at + _ASSERTION_LIFETIME_S,
        },
        account.private_key,
        algorithm="RS256",
        headers={"kid": account.private_key_id} if account.private_key_id else None,
    )
