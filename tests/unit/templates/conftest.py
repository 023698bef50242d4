"""A template service and a broker in the process, and clients of them."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from shared.clients.templates import TemplateClient
from shared.contracts.templates import TemplateVersion
from shared.process.service_tokens import ServiceTokens
from tests.builders import a_template_version

SECRET = "a service secret for tests, of 32 bytes and more"


class TemplateServer:
    """A template service in the process: answers releases by language, and can be away or slow."""

    def __init__(self) -> None:
        self.releases: dict[str, TemplateVersion] = {"welcome": a_template_version(code="welcome")}
        self.asked = 0
        self.is_away = False
        self.gate: asyncio.Event | None = None

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """What the service answers."""
        self.asked += 1
        template = self.releases.get(request.url.path.split("/")[4])
        if self.gate is not None:
            await self.gate.wait()
        if self.is_away:
            return httpx.Response(503)
        if template is None:
            return httpx.Response(404)
        return httpx.Response(200, content=msgspec.json.encode(template))

    def publish(self, version: int) -> None:
        """What is sent from now on."""
        self.releases["welcome"] = a_template_version(code="welcome", version=version)


class FakeBroker:
    """Broadcasts by hand."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.queue.put_nowait(None)
        self.is_away = False
        self.closed = asyncio.Event()

    def subscribe(self) -> "FakeBroker":
        """It is its own subscription."""
        return self

    async def ping(self) -> None:
        """There, or not."""
        if self.is_away:
            raise ConnectionError("away")

    async def close(self) -> None:
        """Notes it; there is nothing to end."""
        self.closed.set()

    async def __aiter__(self) -> AsyncIterator[bytes | None]:
        while True:
            yield await self.queue.get()
            self.queue.task_done()

    async def say(self, body: bytes | None) -> None:
        """Broadcast, and wait until it has been heard."""
        self.queue.put_nowait(body)
        await self.queue.join()


class Time:
    """Passed in, never slept for."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def server() -> TemplateServer:
    """With one published template, `welcome`."""
    return TemplateServer()


@pytest.fixture
def time_s() -> Time:
    """Stands still until it is moved."""
    return Time()


@pytest.fixture
async def alone(server: TemplateServer, time_s: Time) -> AsyncIterator[TemplateClient]:
    """A client that hears no broadcasts."""
    client = TemplateClient(
        "http://templates",
        ServiceTokens(SECRET, "gateway"),
        transport=httpx.MockTransport(server),
        time_s=time_s,
    )
    yield client
    await client.close()


@pytest.fixture
async def impatient(server: TemplateServer, time_s: Time) -> AsyncIterator[TemplateClient]:
    """As `alone`, but it does not wait for long."""
    client = TemplateClient(
        "http://templates",
        ServiceTokens(SECRET, "gateway"),
        transport=httpx.MockTransport(server),
        time_s=time_s,
        patience_s=0.05,
    )
    yield client
    await client.close()


@pytest.fixture
def broker() -> FakeBroker:
    """Connected."""
    return FakeBroker()


@pytest.fixture
async def subscribed(
    server: TemplateServer, time_s: Time, broker: FakeBroker
) -> AsyncIterator[TemplateClient]:
    """A client that hears broadcasts."""
    client = TemplateClient(
        "http://templates",
        ServiceTokens(SECRET, "gateway"),
        broker=broker,
        transport=httpx.MockTransport(server),
        time_s=time_s,
        ping_every_s=0.001,
    )
    await client.start()
    await broker.queue.join()
    yield client
    await client.close()
