"""What is away is said on a page, in words, and the rest goes on."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from carillon.embedded.postgres import EmbeddedPostgres
from tests import servers
from tests.integration.console.scene import Scene, console_scene

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOWHERE = "postgresql://postgres@127.0.0.1:1/nowhere"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    postgres_server: EmbeddedPostgres, migrated_databases: servers.MigratedDatabases
) -> AsyncIterator[Scene]:
    """Where the gateway's database is away; the accounts' is there."""
    with servers.fresh_database(postgres_server) as broker_url:
        async with console_scene(migrated_databases, broker_url, database_url=NOWHERE) as scene:
            yield scene


async def test_without_the_database_pages_say_so(scene: Scene) -> None:
    browser = await scene.logged_in()
    for path in ("/console/failed", "/console/notifications", "/console/jobs", "/console/audit"):
        answer = await browser.get(path)
        assert answer.status_code == 503, path
        assert "text/html" in answer.headers["content-type"]
        assert "The database does not answer" in answer.text
        assert "Try again" in answer.text
        assert answer.headers["retry-after"]
        assert answer.headers["hx-retarget"] == "#main"


async def test_the_overview_shows_what_it_can(scene: Scene) -> None:
    browser = await scene.logged_in()
    answer = await browser.get("/console")
    assert answer.status_code == 200
    assert answer.text.count("The database does not answer.") == 3  # parked, queues, minutes
    assert "email service" in answer.text
    assert "not ready" in answer.text  # the gateway itself
