"""A user service on a real database, spoken to as the gateway does."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

import user_service
from carillon.embedded.postgres import EmbeddedPostgres
from shared.clients.users import UserClient
from shared.database.migrations import migrate
from shared.process.service_tokens import ServiceTokens
from tests import servers
from tests.integration.services import PATIENT_S, SERVICE_SECRET, RunningService, running_service
from tests.integration.user_service.gateway import Gateway, running_gateway, settings_for
from user_service.main import create_app
from user_service.settings import UserServiceSettings

MIGRATIONS = Path(user_service.__file__).parent / "storage" / "migrations"


@pytest.fixture(scope="module")
def user_database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """One for the module: every test makes up its own people."""
    with servers.fresh_database(postgres_server) as url:
        yield url


@asynccontextmanager
async def running_user_service(url: str) -> AsyncIterator[RunningService]:
    """The service on the database behind `url`, migrated and running."""
    await migrate(url, MIGRATIONS)
    settings = UserServiceSettings(
        environment="test",
        database_url=url,
        database_timeout_s=PATIENT_S,
        service_secret=SecretStr(SERVICE_SECRET),
        password_rounds=4,
    )
    async with running_service(create_app(settings), "user_service") as service:
        yield service


@pytest.fixture
async def service(user_database: str) -> AsyncIterator[RunningService]:
    """The service on the module's database."""
    async with running_user_service(user_database) as service:
        yield service


@pytest.fixture
def user_app(service: RunningService) -> httpx.ASGITransport:
    """The way to it."""
    return service.transport


@pytest.fixture
async def user_client(
    user_app: httpx.ASGITransport, service_tokens: ServiceTokens
) -> AsyncIterator[UserClient]:
    """The client that gateway and workers use."""
    client = UserClient("http://user_service", service_tokens, transport=user_app)
    yield client
    await client.close()


@pytest.fixture
async def gateway(user_app: httpx.ASGITransport, internal: httpx.AsyncClient) -> AsyncIterator[Gateway]:
    """The gateway's routes in front of the service, without Redis."""
    async with running_gateway(user_app, internal, settings_for()) as gateway:
        yield gateway
