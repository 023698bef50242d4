"""A gateway on real PostgreSQL and a real broker; the services around it are fakes over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI

import gateway_service
from gateway_service.main import create_app
from gateway_service.settings import GatewaySettings
from shared.broker.factory import connect_broker
from shared.broker.interface import Broker, Message
from shared.broker.topology import FAILED_QUEUE, REPORTS_QUEUE, lane_queue
from shared.clients.ledgers import LedgerClient
from shared.clients.peer import PATIENCE_S
from shared.clients.templates import TemplateClient
from shared.clients.users import UserClient
from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import DeliveriesReported, DeliveryReported, DeliveryRequested
from shared.database.engine import Database
from shared.process.service_tokens import ServiceTokens
from tests.builders import a_recipient, a_template_version
from tests.fakes.peers import FakePeers
from tests.integration.services import PATIENT_S
from tests.servers import MigratedDatabases

MIGRATIONS = Path(gateway_service.__file__).parent / "storage" / "migrations"
SECRET = "a secret of thirty-two bytes or more"
CHANNELS = {Channel.EMAIL: "http://email", Channel.PUSH: "http://push"}


@dataclass
class Gateway:
    """A running gateway, and what stands around it."""

    app: FastAPI
    http: httpx.AsyncClient
    database: Database
    broker: Broker
    peers: FakePeers
    key: str

    async def post(self, body: object, **headers: str) -> httpx.Response:
        """POST /notifications as a sender who may."""
        return await self.http.post(
            "/api/v1/notifications", json=body, headers={"Authorization": f"Bearer {self.key}", **headers}
        )

    async def get(self, path: str) -> httpx.Response:
        """As the same sender."""
        return await self.http.get(
            f"/api/v1/notifications{path}", headers={"Authorization": f"Bearer {self.key}"}
        )

    async def count(self, table: str) -> int:
        """Rows in the database."""
        async with self.database.connection() as connection:
            return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))

    async def sql(self, statement: str, *values: object) -> list[Any]:
        """What the database says."""
        async with self.database.connection() as connection:
            return list(await connection.fetch(statement, *values))

    async def report(self, *bodies: msgspec.Struct) -> None:
        """Say what a channel service would."""
        messages = [
            DeliveriesReported(reports=(body,)) if isinstance(body, DeliveryReported) else body
            for body in bodies
        ]
        await self.broker.publish(
            [Message(route=REPORTS_QUEUE, body=msgspec.json.encode(message)) for message in messages]
        )

    async def park(self, body: bytes) -> None:
        """Put something into failed.queue."""
        await self.broker.publish([Message(route=FAILED_QUEUE, body=body)])

    async def released(self, count: int, *, lane: Lane = Lane.NORMAL) -> list[DeliveryRequested]:
        """The next `count` orders in the lane of the email channel, taken as its worker would."""
        consumer = self.broker.consume(lane_queue(Channel.EMAIL, lane), prefetch=max(count, 1))
        orders: list[DeliveryRequested] = []
        try:
            async with asyncio.timeout(10):
                async for delivery in consumer:
                    orders.append(msgspec.json.decode(delivery.body, type=DeliveryRequested))
                    await delivery.ack()
                    if len(orders) == count:
                        break
        finally:
            await consumer.close()
        return orders

    async def depth(self, *, lane: Lane = Lane.NORMAL) -> int:
        """Orders that wait in the lane of the email channel."""
        return (await self.broker.queue_state(lane_queue(Channel.EMAIL, lane))).depth

    def a_request(self, **changes: object) -> dict[str, object]:
        """To somebody who exists, by a template that does."""
        person = next(iter(self.peers.recipients.values()))
        return {
            "user_id": str(person.id),
            "notification_type": "email",
            "template_code": "order_shipped",
            "variables": {"name": "Ann"},
            **changes,
        }


async def eventually(check: Callable[[], Awaitable[bool]], *, within_s: float = 10.0) -> None:
    """Wait until `check` holds; what another process or a background task does has no other sign."""
    async with asyncio.timeout(within_s):
        while not await check():
            await asyncio.sleep(0.02)


@pytest.fixture
def peers() -> FakePeers:
    """One recipient, one template."""
    person = a_recipient()
    return FakePeers(
        recipients={person.id: person},
        external_ids={"customer-1": person.id},
        templates={"order_shipped": a_template_version(required_variables=("name",))},
    )


@pytest.fixture
def migrated_url(migrated_databases: MigratedDatabases) -> Iterator[str]:
    """A gateway database."""
    with migrated_databases.fresh(MIGRATIONS) as url:
        yield url


StartGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start_gateway(
    migrated_url: str, second_database_url: str, peers: FakePeers
) -> AsyncIterator[StartGateway]:
    """Starts any number of gateways on one database and one broker, which stop after the test."""
    async with AsyncExitStack() as stack:

        async def start(broker_url: str = second_database_url, **changes: object) -> Gateway:
            return await stack.enter_async_context(
                running_gateway(migrated_url, broker_url, peers, **changes)
            )

        yield start


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """One, on the PostgreSQL broker."""
    return await start_gateway()


@asynccontextmanager
async def running_gateway(
    database_url: str, broker_url: str, peers: FakePeers, **changes: object
) -> AsyncIterator[Gateway]:
    """A gateway whose lifespan runs."""
    values: dict[str, object] = {
        "environment": "test",
        "database_url": database_url,
        "broker_url": broker_url,
        "service_secret": SECRET,
        "sweep_interval_s": 0.1,
        "database_timeout_s": PATIENT_S,
        **changes,
    }
    settings = GatewaySettings(**values)  # type: ignore[arg-type]
    tokens = ServiceTokens(settings.service_secret, settings.service_name)
    transport = peers.transport()
    app = create_app(
        settings,
        # A look-up may last longer than any test would wait.
        user_client=UserClient("http://user", tokens, transport=transport, lookup_timeout_s=60),
        template_client=TemplateClient("http://template", tokens, transport=transport, patience_s=PATIENCE_S),
        ledger_client=LedgerClient(CHANNELS, tokens, transport=transport),
    )
    database = Database(database_url, timeout_s=PATIENT_S)
    broker = connect_broker(broker_url, client_name="test")
    await database.start()
    await broker.start(wait_s=10)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http,
    ):
        key = peers.add_key(scopes=("notifications:send", "notifications:read"))
        yield Gateway(app=app, http=http, database=database, broker=broker, peers=peers, key=key)
    await broker.close()
    await database.close()
