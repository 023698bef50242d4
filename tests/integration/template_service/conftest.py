"""A template service on a real database and a real broker, spoken to as the gateway does."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

import template_service
from carillon.embedded.postgres import EmbeddedPostgres
from shared.broker.factory import connect_broker
from shared.broker.interface import Broker
from shared.clients.templates import TemplateClient
from shared.database.migrations import migrate
from shared.process.service_tokens import ServiceTokens
from template_service.main import create_app
from template_service.settings import TemplateServiceSettings
from tests import servers

SERVICE_SECRET = "a service secret for tests, of 32 bytes and more"
MIGRATIONS = Path(template_service.__file__).parent / "storage" / "migrations"


@pytest.fixture(scope="module")
def template_database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """One for the module: every test makes up its own codes."""
    with servers.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="module")
def broker_database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The PostgreSQL transport's."""
    with servers.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
async def template_app(template_database: str, broker_database: str) -> AsyncIterator[httpx.ASGITransport]:
    """The service, migrated and running."""
    await migrate(template_database, MIGRATIONS)
    settings = TemplateServiceSettings(
        environment="test",
        database_url=template_database,
        broker_url=broker_database,
        service_secret=SecretStr(SERVICE_SECRET),
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield httpx.ASGITransport(app=app)


@pytest.fixture
def service_tokens() -> ServiceTokens:
    """The gateway's."""
    return ServiceTokens(SERVICE_SECRET, "gateway")


@pytest.fixture
async def internal(
    template_app: httpx.ASGITransport, service_tokens: ServiceTokens
) -> AsyncIterator[httpx.AsyncClient]:
    """Plain HTTP with a service token."""
    headers = {"Authorization": f"Bearer {service_tokens.issue('template_service')}"}
    async with httpx.AsyncClient(
        transport=template_app, base_url="http://template_service/internal/v1", headers=headers
    ) as client:
        yield client


@pytest.fixture
async def worker_broker(broker_database: str) -> AsyncIterator[Broker]:
    """Another process's connection to the broker."""
    broker = connect_broker(broker_database, client_name="worker")
    await broker.start(wait_s=5)
    yield broker
    await broker.close()


@pytest.fixture
async def worker_client(
    template_app: httpx.ASGITransport, service_tokens: ServiceTokens, worker_broker: Broker
) -> AsyncIterator[TemplateClient]:
    """The client that gateway and workers use, which hears broadcasts."""
    client = TemplateClient(
        "http://template_service", service_tokens, broker=worker_broker, transport=template_app
    )
    await client.start()
    yield client
    await client.close()
