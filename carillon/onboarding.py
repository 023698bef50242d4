"""The first administrator and the first API key, made through the user service's internal routes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import jwt

from carillon.home import Home
from carillon.keys import ADMIN_EMAIL, admin_password
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

    def __init__(self, *, url: str, service_secret: str) -> None:
        self._url = f"{url}/internal/v1"
        self._tokens = ServiceTokens(service_secret, _ASKING_AS)

    async def first_credentials(self, home: Home) -> FirstCredentials:
        """Those of this installation, made where they are missing. Raises SetupError."""
        email, password = ADMIN_EMAIL, admin_password(home)
        async with self._client() as client:
            owner = await self._account(client, email=email, password=password)
            api_key = home.secret(_API_KEY, lambda: "")
            if not api_key or not await self._is_known(client, api_key):
                api_key = await self._create_api_key(client, owner or await self._log_in(client, home))
                home.write_secret(_API_KEY, api_key)
        return FirstCredentials(email=email, password=password, api_key=api_key)

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

    async def _log_in(self, client: httpx.AsyncClient, home: Home) -> str:
        """The administrator's id, from the claims of an access token."""
        answer = await self._post(
            client, "/auth/token", {"email": ADMIN_EMAIL, "password": admin_password(home)}
        )
        if answer.status_code == 401:
            raise SetupError(
                f"The account {ADMIN_EMAIL} in this database has another password than this installation "
                "knows: use another database, or start afresh with `make clean`."
            )
        token = str(_checked(answer, "log the administrator in")["access_token"])
        return _subject(token)

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
        return httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)

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


def _subject(token: str) -> str:
    """The `sub` of a token that we have just been given, and so need not check."""
    return str(jwt.decode(token, options={"verify_signature": False})["sub"])
