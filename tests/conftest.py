"""Fixtures that every kind of test shares. The servers start when first asked for, once per test run."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import structlog

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from tests import servers

# structlog's default draws tracebacks with every local variable, which takes seconds and tells too much.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """What a test makes of structlog and of the root logger (a command line configures both) ends with it."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def pytest_configure() -> None:
    """Settings in the person's shell are not for the tests; CARILLON_TEST_… are."""
    for name in [name for name in os.environ if name.startswith("CARILLON_")]:
        if not name.startswith("CARILLON_TEST_"):
            del os.environ[name]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """The shared PostgreSQL server: fast, not durable, not to be stopped by a test."""
    with servers.server_folder() as folder, servers.running_postgres(folder, durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: EmbeddedPostgres) -> str:
    """`postgresql://…/postgres` of the shared server."""
    return postgres_server.url


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A fresh, empty database for this test alone."""
    with servers.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_databases(postgres_server: EmbeddedPostgres) -> servers.MigratedDatabases:
    """Databases of services, ready for use."""
    return servers.MigratedDatabases(postgres_server)


@pytest.fixture
def second_database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """One more, for a broker or a second service."""
    with servers.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def private_postgres() -> Iterator[EmbeddedPostgres]:
    """A durable PostgreSQL server of this test's own, to `stop`, `kill` and `start` at will."""
    with servers.server_folder() as folder, servers.running_postgres(folder, durable=True) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The shared Redis server."""
    with servers.server_folder() as folder, servers.running_redis(folder) as server:
        yield server.url


@pytest.fixture(scope="session")
def rabbitmq_folder() -> Iterator[Path]:
    """Where the shared RabbitMQ node lives."""
    with servers.server_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def rabbitmq_server(rabbitmq_folder: Path) -> Iterator[EmbeddedRabbitMQ]:
    """The shared RabbitMQ node, not to be stopped by a test."""
    with servers.running_rabbitmq(rabbitmq_folder) as server:
        yield server


@pytest.fixture(scope="session")
def amqp_url(request: pytest.FixtureRequest) -> str:
    """One virtual host for the whole test run."""
    if given := os.environ.get("CARILLON_TEST_AMQP_URL"):
        return given
    server: EmbeddedRabbitMQ = request.getfixturevalue("rabbitmq_server")
    return server.create_vhost(f"session-{uuid4().hex}")


@pytest.fixture
def fresh_amqp_url(rabbitmq_server: EmbeddedRabbitMQ) -> Iterator[str]:
    """A virtual host of this test's own, removed afterwards."""
    name = f"test-{uuid4().hex}"
    yield rabbitmq_server.create_vhost(name)
    rabbitmq_server.delete_vhost(name)


@pytest.fixture
def private_rabbitmq() -> Iterator[EmbeddedRabbitMQ]:
    """A RabbitMQ node of this test's own, to `stop`, `kill` and `start` at will. Starts in 5 to 10 s."""
    with servers.server_folder() as folder, servers.running_rabbitmq(folder) as server:
        yield server
