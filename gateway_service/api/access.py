"""Who calls, as dependencies of routes: `CurrentPrincipal`, and `require(scope)` for what needs one."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer, OAuth2PasswordBearer

from gateway_service.api.rate_limits import RateLimits
from gateway_service.domain import api_keys
from gateway_service.domain.access import InvalidCredentials, Principal
from gateway_service.domain.access_tokens import AccessTokenVerifier
from gateway_service.domain.api_keys import ApiKeyVerifier
from gateway_service.settings import AccessSettings
from shared.clients.peer import Peer, PeerUnavailable
from shared.clients.users import UserClient
from shared.contracts.http.auth import Scope
from shared.web.acquaintances import vouch_for
from shared.web.problems import forbidden, unauthorized, unavailable

_password = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/token",
    scheme_name="Account",
    description="Log in with email and password.",
    auto_error=False,
)
_api_key = HTTPBearer(
    scheme_name="ApiKey", description="An API key, `ck_live_…` or `ck_test_…`.", auto_error=False
)


class AccessControl:
    """Checks credentials and rates; lives on `app.state.access`. Connects to nothing until it is used."""

    def __init__(self, settings: AccessSettings, users: UserClient) -> None:
        self.users: Peer = users.peer
        self.logins: Peer = users.logins
        self.limits = RateLimits(settings)
        self.trusted_proxies = settings.trusted_proxies
        self.access_tokens = AccessTokenVerifier(users.key_set)
        self._api_keys = ApiKeyVerifier(
            users.api_key, fresh_s=settings.api_key_fresh_s, stale_s=settings.api_key_stale_s
        )

    async def authenticate(self, authorization: str | None) -> Principal:
        """The caller, by the header Authorization. Raises a problem: 401, or 503 where the credentials
        cannot be checked without the user service."""
        scheme, _, credentials = (authorization or "").partition(" ")
        credentials = credentials.strip()
        if scheme.lower() != "bearer" or not credentials:
            raise unauthorized("Send an access token or an API key as `Authorization: Bearer …`.")
        try:
            if credentials.startswith(api_keys.PREFIX):
                return await self._api_keys.verify(credentials)
            return await self.access_tokens.verify(credentials)
        except InvalidCredentials as error:
            raise unauthorized("The access token or API key is not valid, or no longer.") from error
        except PeerUnavailable as error:
            raise unavailable("These credentials cannot be checked just now. Ask again.") from error

    async def spend_on_oneself(self, principal: Principal, *, count: int) -> Mapping[str, str]:
        """Count `count` notifications to oneself; the headers for the answer. Whoever has the scope
        notifications:send is not counted. Raises a 429 problem."""
        if principal.user_id is None or principal.may(Scope.NOTIFICATIONS_SEND):
            return {}
        allowance = await self.limits.spend(self.limits.own_sending, str(principal.user_id), cost=count)
        allowance.require()
        return allowance.headers

    async def close(self) -> None:
        """Close what was opened; the user client is its maker's."""
        await self._api_keys.close()
        await self.access_tokens.close()
        await self.limits.close()


async def access_control(request: Request) -> AccessControl:
    """The app's own."""
    return cast(AccessControl, request.app.state.access)


CurrentAccess = Annotated[AccessControl, Depends(access_control)]


async def current_principal(
    request: Request,
    access: CurrentAccess,
    _account: Annotated[str | None, Security(_password)],
    _key: Annotated[object, Security(_api_key)],
) -> Principal:
    """Whoever calls; 401 where that is nobody we know. The two schemes are asked for by the description
    alone: both come in one header."""
    return await principal_of(request, access)


async def principal_of(request: Request, access: AccessControl) -> Principal:
    """For routes that are resolved by hand. Admission hears that the credentials are good."""
    principal = await access.authenticate(request.headers.get("authorization"))
    vouch_for(request.scope, principal.key_id or principal.owner)
    return principal


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]


@cache
def require(scope: Scope | str) -> Callable[[Principal], Awaitable[Principal]]:
    """A dependency: whoever calls, with this scope; 403 without it. `Depends(require("users:write"))`."""
    needed = Scope(scope)

    async def principal_with_scope(principal: CurrentPrincipal) -> Principal:
        check_scope(principal, needed)
        return principal

    return principal_with_scope


def check_scope(principal: Principal, scope: Scope) -> None:
    """Raises a 403 problem where the caller does not have it."""
    if not principal.may(scope):
        raise forbidden(f"This needs the scope {scope.value}.")
