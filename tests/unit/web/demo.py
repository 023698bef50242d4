"""A small app in the shell that every service has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Self

import asyncpg
import httpx
from fastapi import APIRouter, Depends, FastAPI, Form, Request
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy.exc import DBAPIError

from shared.contracts.http.base import StrictModel
from shared.database.errors import CommitUnknown, DatabaseUnavailable, Overloaded
from shared.process.settings import ProcessSettings, ServiceAuthSettings
from shared.web.app import build_app
from shared.web.body import decoded_body
from shared.web.health import Readiness
from shared.web.openapi import problem_responses
from shared.web.problems import conflict, forbidden, not_found, rate_limited, unavailable, unprocessable
from shared.web.service_auth import require_service


class DemoSettings(ProcessSettings, ServiceAuthSettings):
    """A service named demo."""

    service_name: ClassVar[str] = "demo"


class Thing(StrictModel):
    """A body."""

    name: str
    count: int = 1
    more: dict[str, object] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _refuse_nameless(self) -> Self:
        if self.name == "nameless":
            raise PydanticCustomError("nameless", "This is no name", {"field": "name"})
        return self


RAISED: dict[str, Exception] = {
    "not_found": not_found("There is no such thing."),
    "conflict": conflict("Somebody was faster."),
    "forbidden": forbidden("This needs a scope."),
    "unprocessable": unprocessable("name", "is taken"),
    "rate_limited": rate_limited("Slower, please.", retry_after_s=7),
    "unavailable": unavailable("Not now.", retry_after_s=3),
    "database": DatabaseUnavailable("away"),
    "commit": CommitUnknown("lost"),
    "overloaded": Overloaded("full"),
    "sqlalchemy": DBAPIError("SELECT 1", None, ConnectionResetError("secret@example.com")),
    "bug": RuntimeError("secret@example.com"),
    "constraint": asyncpg.UniqueViolationError("secret@example.com"),
}


def demo_app(*, readiness: Readiness | None = None, max_body_bytes: int = 10_000) -> FastAPI:
    """The app; its body limit is small."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield

    app = build_app(
        settings=DemoSettings(environment="test"),
        title="Demo",
        version="1",
        lifespan=lifespan,
        readiness=readiness or Readiness(),
        internal_only=False,
        form_paths=("/api/v1/form", "/pages/"),
        max_body_bytes=max_body_bytes,
    )
    things = APIRouter(prefix="/things", responses=problem_responses(404))

    @things.post("/{thing_id}")
    async def create(thing_id: int, thing: Thing) -> Thing:
        return thing

    @things.get("/{thing_id}")
    async def read(thing_id: int) -> int:
        return thing_id

    public = APIRouter(prefix="/api/v1")
    public.include_router(things)

    @public.post("/form")
    async def form(username: str = Form()) -> str:
        return username

    @public.post("/raw")
    async def raw(request: Request) -> object:
        return decoded_body(request)

    @public.get("/raise/{name}")
    async def fail(name: str) -> None:
        raise RAISED[name]

    internal = APIRouter(prefix="/internal/v1", dependencies=[Depends(require_service("demo"))])

    @internal.get("/secrets")
    async def secrets() -> str:
        return "secret"

    app.include_router(public)
    app.include_router(internal)
    return app


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """Talks to the app without a network; a bug in it is answered, as by a server."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://demo")
