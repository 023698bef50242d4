"""A service that runs in the test's own process, spoken to as the other services do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from shared.process.service_tokens import ServiceTokens

PATIENT_S = 20.0
"""For statements: on a machine that is busy with other tests the usual two seconds can be too short."""
SERVICE_SECRET = "a service secret for tests, of 32 bytes and more"


@dataclass(frozen=True, kw_only=True)
class RunningService:
    """`transport` leads to it; `internal` is plain HTTP with the gateway's service token."""

    transport: httpx.ASGITransport
    internal: httpx.AsyncClient


@asynccontextmanager
async def running_service(app: FastAPI, name: str) -> AsyncIterator[RunningService]:
    """The app in its lifespan; `name` is whom service tokens are for."""
    transport = httpx.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {gateways_tokens().issue(name)}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url=f"http://{name}/internal/v1", headers=headers
        ) as internal,
    ):
        yield RunningService(transport=transport, internal=internal)


def gateways_tokens() -> ServiceTokens:
    """What the gateway calls with."""
    return ServiceTokens(SERVICE_SECRET, "gateway")
