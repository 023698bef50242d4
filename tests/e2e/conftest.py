"""Installations for tests that look at Carillon from outside. Each takes some 20 s to start, so there are two
for all tests, one on each transport; whoever breaks a part of one mends it again."""

from collections.abc import Iterator

import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from tests import servers
from tests.e2e.installation import Installation, running_installation

SHORT_LEASES = {
    "CARILLON_SMTP_TIMEOUT_S": "4",
    "CARILLON_FCM_TIMEOUT_S": "4",
    "CARILLON_LEASE_MARGIN_S": "3",
    "CARILLON_STALL_LIMIT_S": "300",
}
"""A call that is in flight when its process is killed is settled as a doubt once its lease has run out. And a
service that a test has stopped for a while is to go on afterwards, on a slow machine too."""


@pytest.fixture(scope="package")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The PostgreSQL server under `on_postgres`, to stop and start."""
    with servers.server_folder() as folder, servers.running_postgres(folder, durable=True) as server:
        yield server


@pytest.fixture(scope="package")
def on_postgres(postgres: EmbeddedPostgres) -> Iterator[Installation]:
    """With PostgreSQL as the broker."""
    with (
        servers.server_folder() as folder,
        running_installation(folder, CARILLON_DATABASE_URL=postgres.url, **SHORT_LEASES) as installation,
    ):
        yield installation


@pytest.fixture(scope="package")
def rabbitmq() -> Iterator[EmbeddedRabbitMQ]:
    """The RabbitMQ node under `on_rabbitmq`, to stop and start."""
    with servers.server_folder() as folder, servers.running_rabbitmq(folder) as server:
        yield server


@pytest.fixture(scope="package")
def on_rabbitmq(rabbitmq: EmbeddedRabbitMQ) -> Iterator[Installation]:
    """With RabbitMQ as the broker, and everything else embedded."""
    with (
        servers.server_folder() as folder,
        running_installation(folder, CARILLON_BROKER_URL=rabbitmq.url(), **SHORT_LEASES) as installation,
    ):
        yield installation


@pytest.fixture(params=["on_postgres", "on_rabbitmq"])
def installation(request: pytest.FixtureRequest) -> Installation:
    """Each test on both transports."""
    found: Installation = request.getfixturevalue(request.param)
    return found
