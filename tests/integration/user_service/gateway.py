"""The gateway's routes for accounts and users alone, in front of a running user service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from gateway_service.api import api_keys, auth, users
from gateway_service.api.access import AccessControl
from gateway_service.settings import AccessSettings
from shared.clients.users import UserClient
from shared.process.service_tokens import ServiceTokens
from shared.process.settings import ProcessSettings
from shared.web.app import build_app
from shared.web.health import Readiness
from tests.builders import a_registration
from tests.integration.services import SERVICE_SECRET

NOBODY = "redis://127.0.0.1:1/0"
"""Where no Redis is."""


class GatewayAccessSettings(ProcessSettings, AccessSettings):
    """As much of the gateway's settings as these routes need."""


class Switch(httpx.AsyncBaseTransport):
    """The way to the user service, which can be cut; where there is a `crowd`, logins wait for it to pass and
    are turned away then."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self.is_cut = False
        self.crowd: asyncio.Event | None = None
        self.waiting = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Refuses the connection while it is cut."""
        if self.is_cut:
            raise httpx.ConnectError("refused")
        if self.crowd is not None and request.url.path.startswith("/internal/v1/auth/"):
            self.waiting += 1
            await self.crowd.wait()
            return httpx.Response(503)
        return await self._transport.handle_async_request(request)


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who is logged in."""

    id: str
    email: str
    password: str
    client: httpx.AsyncClient
    refresh_token: str


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """`anonymous` sends no credentials; `internal` goes past the gateway."""

    app: FastAPI
    anonymous: httpx.AsyncClient
    internal: httpx.AsyncClient
    user_service: Switch

    def with_bearer(self, credentials: str) -> httpx.AsyncClient:
        """A client with these credentials."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app),
            base_url="http://gateway/api/v1",
            headers={"Authorization": f"Bearer {credentials}"},
        )

    async def log_in(self, email: str, password: str) -> httpx.Response:
        """As /docs does."""
        return await self.anonymous.post("/auth/token", data={"username": email, "password": password})

    async def person(self, role: str = "user") -> Person:
        """A new account, logged in."""
        registration = a_registration()
        made = await self.internal.post("/accounts", json={**registration, "role": role})
        assert made.status_code == 201, made.text
        tokens = (await self.log_in(registration["email"], registration["password"])).json()
        return Person(
            id=made.json()["id"],
            email=registration["email"],
            password=registration["password"],
            client=self.with_bearer(tokens["access_token"]),
            refresh_token=tokens["refresh_token"],
        )

    async def api_key(self, owner: Person, *scopes: str, kind: str = "live") -> str:
        """The secret of a new key."""
        made = await owner.client.post(
            "/api-keys", json={"name": "orders", "kind": kind, "scopes": list(scopes)}
        )
        assert made.status_code == 201, made.text
        secret: str = made.json()["secret"]
        return secret


@asynccontextmanager
async def running_gateway(
    user_service: httpx.AsyncBaseTransport, internal: httpx.AsyncClient, settings: GatewayAccessSettings
) -> AsyncIterator[Gateway]:
    """In front of this user service."""
    switch = Switch(user_service)
    client = UserClient(
        "http://user_service", ServiceTokens(settings.service_secret, "gateway_service"), transport=switch
    )
    access = AccessControl(settings, client)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await access.close()
        await client.close()

    app = build_app(
        settings=settings,
        title="gateway",
        version="0",
        lifespan=lifespan,
        readiness=Readiness(),
        internal_only=False,
        form_paths=["/api/v1/auth/token"],
    )
    app.state.access = access
    for routes in (auth, users, api_keys):
        app.include_router(routes.router, prefix="/api/v1")
    app.include_router(auth.well_known_router)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://gateway/api/v1"
        ) as anonymous,
    ):
        yield Gateway(app=app, anonymous=anonymous, internal=internal, user_service=switch)


def settings_for(*, redis_url: str = NOBODY, **rates: str) -> GatewayAccessSettings:
    """Without Redis, and so without limits, unless told."""
    return GatewayAccessSettings.model_validate(
        {
            "environment": "test",
            "service_secret": SecretStr(SERVICE_SECRET),
            "redis_url": redis_url,
            **rates,
        }
    )
