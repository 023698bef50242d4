"""Pages stay up to date over real connections, and whoever watches costs next to nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
import pytest_asyncio

from gateway_service.console.live import MOST_OF_ONE
from tests.integration.console.scene import Browser, Scene
from tests.integration.console.served import served
from tests.integration.gateway.conftest import eventually
from tests.integration.gateway.failing import failed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(scene: Scene) -> AsyncIterator[str]:
    """Where the scene is served; once, since its end ends all streams for good."""
    async with served(scene.gateway.app) as url:
        yield url


@asynccontextmanager
async def events_of(browser: Browser, url: str, query: str = "") -> AsyncIterator[AsyncIterator[str]]:
    """The lines of a stream."""
    cookies = dict(browser.http.cookies)
    async with (
        httpx.AsyncClient(base_url=url, cookies=cookies, timeout=20) as client,
        client.stream("GET", f"/console/live{query}") as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield answer.aiter_lines()


async def read_until(lines: AsyncIterator[str], words: str) -> None:
    """Until a line of the stream has them."""
    async with asyncio.timeout(20):
        async for line in lines:
            if words in line:
                return
    raise AssertionError(f"the stream ended without {words}")


async def test_an_account_has_ten_streams_and_leaves_the_others_to_others(scene: Scene, url: str) -> None:
    browser, other = await scene.logged_in(), await scene.logged_in()
    async with AsyncExitStack() as stack:
        for _ in range(MOST_OF_ONE):
            await stack.enter_async_context(events_of(browser, url))
        cookies = dict(browser.http.cookies)
        async with httpx.AsyncClient(base_url=url, cookies=cookies, timeout=20) as client:
            refused = await client.get("/console/live")
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "30"
        await stack.enter_async_context(events_of(other, url))


async def test_a_change_comes_to_everybody_who_watches(scene: Scene, url: str) -> None:
    live = scene.gateway.app.state.console.live
    browser = await scene.logged_in()
    async with events_of(browser, url) as one, events_of(browser, url) as other:
        await read_until(one, "Nothing is parked")
        await failed(scene.gateway)
        await asyncio.gather(
            read_until(one, "smtp.connection_refused"), read_until(other, "smtp.connection_refused")
        )
        assert live.watching == 2
        cookies = dict(browser.http.cookies)
        async with httpx.AsyncClient(base_url=url, cookies=cookies, timeout=20) as client:
            assert (await client.head("/console/live")).status_code == 200
            client.cookies.clear()
            assert (await client.head("/console/live")).status_code == 401
        assert live.watching == 2
        # A page that is opened meanwhile costs nothing new.
        assert "smtp.connection_refused" in (await browser.get("/console")).text

    async def nobody_watches() -> bool:
        return bool(live.watching == 0)

    await eventually(nobody_watches)
    assert live.latest("overview") is None
