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
from shared.process.service_tokens import ServiceTokens
from template_service.main import create_app
from template_service.settings import TemplateServiceSettings
from tests import servers
from tests.integration.services import PATIENT_S, SERVICE_SECRET, RunningService, running_service

MIGRATIONS = Path(template_service.__file__).parent / "storage" / "migrations"


@pytest.fixture(scope="module")
def template_database(migrated_databases: servers.MigratedDatabases) -> Iterator[str]:
    """One for the module, migrated: every test makes up its own codes."""
    with migrated_databases.fresh(MIGRATIONS) as url:
        yield url


@pytest.fixture(scope="module")
def broker_database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The PostgreSQL transport's."""
    with servers.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
async def service(template_database: str, broker_database: str) -> AsyncIterator[RunningService]:
    """The service, running."""
    settings = TemplateServiceSettings(
        environment="test",
        database_url=template_database,
        database_timeout_s=PATIENT_S,
        broker_url=broker_database,
        service_secret=SecretStr(SERVICE_SECRET),
    )
    async with running_service(create_app(settings), "template_service") as service:
        yield service


@pytest.fixture
def template_app(service: RunningService) -> httpx.ASGITransport:
    """The way to it."""
    return service.transport


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
