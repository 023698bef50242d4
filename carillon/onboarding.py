"""The first administrator and the first API key, made through the user service's internal routes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import jwt

from carillon.home import Home
from carillon.keys import AdminLogin, admin_login, renew_admin_login
from carillon.setup_error import SetupError
from shared.process.service_tokens import ServiceTokens

USER_SERVICE = "user_service"
_ASKING_AS = "carillon"
_API_KEY = "api_key"
# Every scope of API.md: this key is for the person who has just installed all of it.
_SCOPES = (
    "notifications:send", "notifications:read", "users:read", "users:write", "templates:read",
    "templates:write", "failed:read", "failed:write", "config:write",
)  # fmt: skip
_TIMEOUT_S = 10


@dataclass(frozen=True, kw_only=True)
class FirstCredentials:
    """What a newcomer logs in and sends with."""

    email: str
    password: str
    api_key: str


class Onboarding:
    """Talks to the user service at `url` with a service token."""

    def __init__(
        self, *, url: str, service_secret: str, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url = f"{url}/internal/v1"
        self._tokens = ServiceTokens(service_secret, _ASKING_AS)
        self._transport = transport

    async def first_credentials(self, home: Home) -> FirstCredentials:
        """Those of this installation, tried just now, and made where they are missing. Raises SetupError."""
        async with self._client() as client:
            login, owner = await self._administrator(client, home)
            api_key = home.secret(_API_KEY, lambda: "")
            if not api_key or not await self._is_known(client, api_key):
                api_key = await self._create_api_key(client, owner)
                home.write_secret(_API_KEY, api_key)
        return FirstCredentials(email=login.email, password=login.password, api_key=api_key)

    async def create_admin(self, *, email: str, password: str) -> None:
        """One more administrator. Raises SetupError, where the address is taken, too."""
        async with self._client() as client:
            if await self._account(client, email=email, password=password) is None:
                raise SetupError(f"There is an account for {email} already.")

    async def _account(self, client: httpx.AsyncClient, *, email: str, password: str) -> str | None:
        """The id of the new account, or None where the address has one."""
        new = {"name": "Administrator", "email": email, "password": password, "role": "admin"}
        answer = await self._post(client, "/accounts", new)
        if answer.status_code == 409:
            return None
        return str(_checked(answer, "create the administrator")["id"])

    async def _administrator(self, client: httpx.AsyncClient, home: Home) -> tuple[AdminLogin, str]:
        """A login that works, and the id of its account. Where the kept one belongs to somebody else, in a
        database of another installation for one, a further administrator is made."""
        login = admin_login(home)
        owner = await self._log_in(client, login)
        if owner is None:
            owner = await self._account(client, email=login.email, password=login.password)
        if owner is None:
            login = renew_admin_login(home)
            owner = await self._account(client, email=login.email, password=login.password)
        if owner is None:
            raise SetupError(f"There is an account for {login.email} already: start again.")
        return login, owner

    async def _log_in(self, client: httpx.AsyncClient, login: AdminLogin) -> str | None:
        """The administrator's id, from the claims of an access token; None where this is no login of an
        administrator."""
        answer = await self._post(client, "/auth/token", {"email": login.email, "password": login.password})
        if answer.status_code == 401:
            return None
        return _admin_id(str(_checked(answer, "log the administrator in")["access_token"]))

    async def _is_known(self, client: httpx.AsyncClient, api_key: str) -> bool:
        digest = hashlib.sha256(api_key.encode()).hexdigest()
        answer = await self._post(client, "/api-keys/verify", {"digest": digest})
        if answer.status_code == 404:
            return False
        _checked(answer, "check the API key")
        return True

    async def _create_api_key(self, client: httpx.AsyncClient, owner: str) -> str:
        new = {"name": "carillon up", "kind": "live", "scopes": list(_SCOPES), "owner": owner}
        return str(_checked(await self._post(client, "/api-keys", new), "create an API key")["secret"])

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, transport=self._transport)

    async def _post(self, client: httpx.AsyncClient, path: str, body: Mapping[str, object]) -> httpx.Response:
        try:
            return await client.post(
                self._url + path,
                json=body,
                headers={"Authorization": f"Bearer {self._tokens.issue(USER_SERVICE)}"},
            )
        except httpx.HTTPError as error:
            raise SetupError(
                f"The user service at {self._url} does not answer ({type(error).__name__}): "
                "is `carillon up` running?"
            ) from error


def _checked(answer: httpx.Response, purpose: str) -> dict[str, object]:
    if answer.is_success:
        body: dict[str, object] = answer.json()
        return body
    try:
        problem = answer.json()
        wrong = "; ".join(each["message"] for each in problem.get("errors") or ())
        detail = wrong or problem.get("detail") or problem.get("title")
    except (ValueError, KeyError, TypeError):
        detail = None
    raise SetupError(f"The user service could not {purpose}: {detail or f'HTTP {answer.status_code}'}.")


def _admin_id(token: str) -> str | None:
    """The `sub` of an administrator's token that we have just been given, and so need not check."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return str(claims["sub"]) if claims.get("role") == "admin" else None
