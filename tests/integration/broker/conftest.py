"""Every test that asks for `transport` runs once for each."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from shared.broker.factory import connect_broker
from shared.broker.interface import Broker, Consumer, Delivery
from tests import servers
from tests.integration.broker.proxy import Proxy

PATIENCE_S = 15.0
"""How long to wait for what has to come."""


@dataclass(kw_only=True)
class Transport:
    """A transport with a server of its own, empty."""

    name: str
    url: str
    wipe: Callable[[], Awaitable[None]]
    _brokers: list[Broker] = field(default_factory=list)
    _proxies: list[Proxy] = field(default_factory=list)

    async def connect(self, url: str | None = None) -> Broker:
        """A broker that has started, closed after the test."""
        broker = self.create(url)
        await broker.start(wait_s=PATIENCE_S)
        return broker

    def create(self, url: str | None = None) -> Broker:
        """A broker that has not started, closed after the test."""
        broker = connect_broker(url or self.url, client_name="test")
        self._brokers.append(broker)
        return broker

    async def proxy(self) -> tuple[Proxy, str]:
        """A proxy before the server, and the URL that leads through it."""
        parts = urlsplit(self.url)
        proxy = Proxy(host=parts.hostname or "", port=parts.port or 0)
        await proxy.start()
        self._proxies.append(proxy)
        address = f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"
        return proxy, urlunsplit(parts._replace(netloc=address))

    async def close(self) -> None:
        """Close everything that was opened."""
        for proxy in self._proxies:
            proxy.thaw()
        await asyncio.gather(*(broker.close() for broker in self._brokers))
        for proxy in self._proxies:
            await proxy.stop()


RABBITMQ_SERVERS = {"rabbitmq": "rabbitmq_server", "rabbitmq-4": "rabbitmq_4_server"}
"""The fixture of each RabbitMQ that the transport has to work with."""


@pytest.fixture(params=[*RABBITMQ_SERVERS, "postgres"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    """Each transport in turn."""
    if request.param == "postgres":
        opened = _postgres(request)
        yield opened
        await opened.close()
        return
    server: EmbeddedRabbitMQ = request.getfixturevalue(RABBITMQ_SERVERS[request.param])
    with servers.fresh_vhost(server) as url:
        opened = _rabbitmq(server, url)
        yield opened
        await opened.close()


def _rabbitmq(server: EmbeddedRabbitMQ, url: str) -> Transport:
    vhost = urlsplit(url).path.lstrip("/")

    async def wipe() -> None:
        await asyncio.to_thread(server.delete_vhost, vhost)
        await asyncio.to_thread(server.create_vhost, vhost)

    return Transport(name="rabbitmq", url=url, wipe=wipe)


def _postgres(request: pytest.FixtureRequest) -> Transport:
    server: EmbeddedPostgres = request.getfixturevalue("postgres_server")
    url: str = request.getfixturevalue("database_url")
    database = urlsplit(url).path.lstrip("/")

    async def wipe() -> None:
        await asyncio.to_thread(server.run_sql, "DROP SCHEMA broker CASCADE", database=database)

    return Transport(name="postgres", url=url, wipe=wipe)


async def take(consumer: Consumer, number: int = 1, *, within_s: float = PATIENCE_S) -> list[Delivery]:
    """The next deliveries. Raises TimeoutError."""
    taken: list[Delivery] = []
    async with asyncio.timeout(within_s):
        async for delivery in consumer:
            taken.append(delivery)
            if len(taken) == number:
                break
    return taken


async def nothing_comes(consumer: Consumer, *, for_s: float = 0.5) -> bool:
    """Whether nothing is handed out for a while."""
    try:
        await take(consumer, within_s=for_s)
    except TimeoutError:
        return True
    return False


async def eventually(condition: Callable[[], Awaitable[bool]], *, within_s: float = PATIENCE_S) -> None:
    """Wait until the condition holds. Raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError("The condition never held.")
        await asyncio.sleep(0.02)


async def alive(consumer: Consumer) -> None:
    """Wait until the broker holds the consumer."""

    async def holds() -> bool:
        return consumer.alive

    await eventually(holds)
