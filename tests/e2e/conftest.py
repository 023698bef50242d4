"""Installations for tests that look at Carillon from outside."""

from collections.abc import Iterator

import pytest

from tests import servers
from tests.e2e.installation import Installation, running_installation


@pytest.fixture(scope="package")
def embedded() -> Iterator[Installation]:
    """With nothing but what comes along; shared by tests that leave it as whole as they found it."""
    with servers.server_folder() as folder, running_installation(folder) as installation:
        yield installation


@pytest.fixture(scope="package")
def on_rabbitmq(amqp_url: str) -> Iterator[Installation]:
    """The same, with RabbitMQ as the broker."""
    with (
        servers.server_folder() as folder,
        running_installation(folder, CARILLON_BROKER_URL=amqp_url) as installation,
    ):
        yield installation


@pytest.fixture(params=["embedded", "on_rabbitmq"])
def installation(request: pytest.FixtureRequest) -> Installation:
    """Each test on both transports."""
    found: Installation = request.getfixturevalue(request.param)
    return found
