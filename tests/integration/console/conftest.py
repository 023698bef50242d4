"""One scene for each file: every test has accounts and failures of its own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from carillon.embedded.postgres import EmbeddedPostgres
from tests import servers
from tests.integration.console.scene import Scene, console_scene


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    postgres_server: EmbeddedPostgres, migrated_databases: servers.MigratedDatabases
) -> AsyncIterator[Scene]:
    """Everything runs."""
    with servers.fresh_database(postgres_server) as broker_url:
        async with console_scene(migrated_databases, broker_url) as scene:
            yield scene


@pytest.fixture(autouse=True)
def everybody_is_there(request: pytest.FixtureRequest) -> None:
    """Whoever a test has sent away is back for the next."""
    if "scene" in request.fixturenames:
        scene: Scene = request.getfixturevalue("scene")
        scene.services.away.clear()
        scene.services.ready.clear()
