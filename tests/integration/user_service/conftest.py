"""A user service on a real database, spoken to as the gateway does."""

from collections.abc import AsyncIterator, Iterator
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
from tests.integration.user_service.gateway import SERVICE_SECRET, Gateway, running_gateway, settings_for
from user_service.main import create_app
from user_service.settings import UserServiceSettings

MIGRATIONS = Path(user_service.__file__).parent / "storage" / "migrations"


@pytest.fixture(scope="module")
def user_database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """One for the module: every test makes up its own people."""
    with servers.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
async def user_app(user_database: str) -> AsyncIterator[httpx.ASGITransport]:
    """The service, migrated and running."""
    await migrate(user_database, MIGRATIONS)
    settings = UserServiceSettings(
        environment="test",
        database_url=user_database,
        service_secret=SecretStr(SERVICE_SECRET),
        password_rounds=4,
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
    user_app: httpx.ASGITransport, service_tokens: ServiceTokens
) -> AsyncIterator[httpx.AsyncClient]:
    """Plain HTTP with a service token."""
    headers = {"Authorization": f"Bearer {service_tokens.issue('user_service')}"}
    async with httpx.AsyncClient(
        transport=user_app, base_url="http://user_service/internal/v1", headers=headers
    ) as client:
        yield client


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
