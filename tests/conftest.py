"""Fixtures that every kind of test shares. The servers start when first asked for, once per test run."""

import gc
import logging
import os
import sys
from collections.abc import Generator, Iterator

import pytest
import structlog

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from tests import servers
from tests.given_servers import major_version
from tests.scheduling import is_one_of_several, put_in_order, scheduler_of_groups

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
    # Compiled code is kept even where PYTHONDONTWRITEBYTECODE is set: to compile everything anew in each of
    # the processes and in every service they start would take a fifth of the run.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    servers.clear_memory()
    for name in [name for name in os.environ if name.startswith("CARILLON_")]:
        if not name.startswith("CARILLON_TEST_"):
            del os.environ[name]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported stays until the end: the garbage collector need not look at it time and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With `-n`."""
    return scheduler_of_groups(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One process alone runs everything in the order of the files."""
    if is_one_of_several(config):
        put_in_order(items)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """The shared PostgreSQL server: fast, not durable, not to be stopped by a test."""
    with servers.server_folder() as folder, servers.shared_postgres(folder) as server:
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
    """The Redis of CARILLON_TEST_REDIS_URL, else one of ours."""
    if given := os.environ.get("CARILLON_TEST_REDIS_URL"):
        yield given
        return
    with servers.server_folder() as folder, servers.running_redis(folder) as server:
        yield server.url


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[EmbeddedRabbitMQ]:
    """The shared RabbitMQ node, not to be stopped by a test."""
    with servers.server_folder() as folder, servers.shared_rabbitmq(folder) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_4_server(rabbitmq_server: EmbeddedRabbitMQ) -> Iterator[EmbeddedRabbitMQ]:
    """A shared RabbitMQ 4.x beside an older one, not to be stopped by a test."""
    if major_version(rabbitmq_server) >= 4:
        pytest.skip("The usual RabbitMQ is a 4.x already.")
    with servers.server_folder() as folder, servers.shared_rabbitmq_4(folder) as server:
        yield server


@pytest.fixture
def fresh_amqp_url(rabbitmq_server: EmbeddedRabbitMQ) -> Iterator[str]:
    """A virtual host of this test's own, removed afterwards."""
    with servers.fresh_vhost(rabbitmq_server) as url:
        yield url
