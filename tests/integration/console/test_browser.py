"""The console in Chromium: nothing breaks its policy, everything works by keyboard, and it is live."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import pytest
import pytest_asyncio
from playwright.async_api import Browser as Chromium
from playwright.async_api import BrowserContext, Page, Route, expect

from carillon.embedded.postgres import EmbeddedPostgres
from shared.contracts.delivery import Problem
from tests import servers
from tests.chromium import running_chromium
from tests.integration.console.scene import Scene, console_scene
from tests.integration.console.served import served
from tests.integration.gateway.conftest import eventually
from tests.integration.gateway.failing import Worker, failed_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
PATIENCE_MS = 20_000
MARKUP = '<img src=x onerror="document.title=`owned`"></td><script>document.title="owned"</script>'
REFUSED = Problem(kind="smtp.connection_refused", message="The mail server does not take connections.")
HOSTILE = Problem(kind="smtp.odd_reply", message=MARKUP)

FAULTS = """() => {
  const found = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const labelled = (e) => e.labels?.length || e.getAttribute("aria-label") || e.type === "hidden";
  const named = (e) => e.textContent.trim() || e.getAttribute("aria-label");
  for (const e of all("input, select, textarea")) if (!labelled(e)) found.push("no label: " + e.name);
  for (const e of all("a, button")) if (!named(e)) found.push("no name: " + e.outerHTML);
  for (const e of all("img")) if (!e.hasAttribute("alt")) found.push("no alt: " + e.src);
  const ids = all("[id]").map((e) => e.id);
  for (const id of new Set(ids)) if (ids.filter((i) => i === id).length > 1) found.push("twice: #" + id);
  if (all("h1").length !== 1) found.push("not one h1");
  for (const e of all("nav a, td a, dd a, .trail a, .acts a, .brand, button, summary, input, select")) {
    const { width, height } = e.getBoundingClientRect();
    if (height && Math.min(width, height) < 24) found.push(`${width} x ${height}: ${e.outerHTML}`);
  }
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) found.push("wider than the window by " + wide);
  return found;
}"""
"""What somebody who does not see, or has a small screen, would stumble over."""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""Another tab is looked at, or this one again."""


@dataclass(kw_only=True)
class Desk:
    """Where somebody sits who looks at the pages. `heard`: errors and warnings of the browser."""

    scene: Scene
    chromium: Chromium
    url: str
    heard: list[str] = field(default_factory=list)

    async def sit_down(self, role: str | None = "operator", **context: object) -> Page:
        """A new page in a browser of one's own, logged in."""
        opened: BrowserContext = await self.chromium.new_context(base_url=self.url, **context)  # type: ignore[arg-type]
        opened.set_default_timeout(PATIENCE_MS)
        page = await opened.new_page()
        page.on("console", lambda said: self.heard.append(f"{page.url}: {said.type} {said.text}"))
        page.on("pageerror", lambda error: self.heard.append(f"{page.url}: {error}"))
        if role is not None:
            await self.log_in(page, **await self.scene.account(role))
        return page

    async def log_in(self, page: Page, *, email: str, password: str) -> None:
        """By hand."""
        await page.goto("/console")
        await page.get_by_label("Email").fill(email)
        await page.get_by_label("Password").fill(password)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(
    postgres_server: EmbeddedPostgres, migrated_databases: servers.MigratedDatabases
) -> AsyncIterator[Desk]:
    """With failures of two causes on it."""
    with servers.fresh_database(postgres_server) as broker_url:
        async with (
            running_chromium() as chromium,
            console_scene(migrated_databases, broker_url) as scene,
            served(scene.gateway.app) as url,
        ):
            await failed_for(scene.gateway, REFUSED, 12)
            await failed_for(scene.gateway, HOSTILE, 2)
            yield Desk(scene=scene, chromium=chromium, url=url)


async def one_of(desk: Desk, problem: Problem) -> tuple[str, UUID, UUID]:
    """Cause, failure and notification."""
    rows = await desk.scene.gateway.sql(
        "SELECT cause, id, notification_id FROM failed WHERE error_kind = $1 ORDER BY id DESC LIMIT 1",
        problem.kind,
    )
    return tuple(rows[0])


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESK, "light")])
async def test_no_page_breaks_the_policy_or_leaves_anybody_out(
    desk: Desk, size: dict[str, int], scheme: str
) -> None:
    page = await desk.sit_down("admin", viewport=size, color_scheme=scheme)
    desk.heard.clear()
    cause, failure, notification = await one_of(desk, HOSTILE)
    for path in (
        "/console",
        "/console/notifications",
        f"/console/notifications/{notification}",
        "/console/failed",
        "/console/failed/all?error_type=smtp.odd_reply",
        f"/console/failed/causes/{cause}",
        f"/console/failed/{failure}",
        "/console/jobs",
        "/console/audit",
    ):
        await page.goto(path)
        faults = await page.evaluate(FAULTS)
        assert faults == [], (path, faults)
        assert await page.title() != "owned"
        assert "Carillon" in await page.title()
    assert desk.heard == []
    await page.goto("/console/nothing")
    assert await page.evaluate(FAULTS) == []
    assert [line for line in desk.heard if "404" not in line] == []
    await page.context.close()


async def test_a_cause_is_mended_by_keyboard_alone_and_the_job_is_watched_live(desk: Desk) -> None:
    page = await desk.sit_down(viewport=DESK)
    desk.heard.clear()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    cause = page.get_by_role("link", name=REFUSED.kind)
    for _ in range(30):
        if await cause.evaluate("e => e === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name=REFUSED.kind)).to_be_visible()
    await page.get_by_label("A second").focus()
    await page.keyboard.press("Control+A")
    await page.keyboard.type("1000")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(page.locator("#dry-run-button")).to_be_focused()
    await page.keyboard.press("Enter")
    result = page.locator("#dry-run")
    await expect(result).to_contain_text("12 would be sent")
    await expect(result).to_be_focused()
    await expect(page.get_by_label("A second")).to_have_value("1000")
    await page.locator("#start-button").focus()
    async with Worker(desk.scene.gateway):
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Job", exact=True)).to_be_visible()
        # Without loading anew.
        await expect(page.locator("#job-state")).to_have_attribute("data-over", "yes", timeout=PATIENCE_MS)
    await expect(page.locator("#job-state")).to_have_attribute("data-status", "completed")
    await expect(page.locator("#liveness-word")).to_contain_text("Over")
    await expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    rows = await desk.scene.gateway.sql(
        "SELECT count(*) FROM failed WHERE error_kind = $1 AND status = 'reprocessed'", REFUSED.kind
    )
    assert rows[0][0] == 12
    assert desk.heard == []
    await page.context.close()


async def test_the_overview_follows_keeps_the_focus_and_says_when_it_is_not_live(desk: Desk) -> None:
    page = await desk.sit_down(viewport=PHONE)
    await expect(page.locator("#liveness-word")).to_have_text("Live")
    link = page.get_by_role("link", name=HOSTILE.kind)
    await link.focus()
    await failed_for(desk.scene.gateway, HOSTILE, 1)
    row = page.get_by_role("row").filter(has=link)
    await expect(row).to_contain_text(re.compile(r"\b3\b"), timeout=PATIENCE_MS)
    await expect(link).to_be_focused()
    await expect(page.locator("#spoken")).to_contain_text("failures are open", timeout=PATIENCE_MS)
    live = desk.scene.gateway.app.state.console.live
    await page.evaluate(HIDE, True)
    await expect(page.locator("#liveness-word")).to_have_text("Not live")

    async def nobody_watches() -> bool:
        return bool(live.watching == 0)

    await eventually(nobody_watches, within_s=20)
    await page.evaluate(HIDE, False)
    await expect(page.locator("#liveness-word")).to_have_text("Live")
    await page.evaluate(HIDE, True)
    await page.route("**/console/live", lambda route: route.fulfill(status=429))
    async with page.expect_response(lambda refused: refused.request.method == "HEAD"):
        await page.evaluate(HIDE, False)
    await expect(page.get_by_role("link", name="Load anew")).to_be_visible()
    await page.unroute("**/console/live")
    await page.context.clear_cookies()
    await page.evaluate(HIDE, True)
    await page.evaluate(HIDE, False)
    await expect(page.locator("#liveness-word")).to_have_text("You are logged out.")
    await expect(page.get_by_role("link", name="Log in again.")).to_be_visible()
    await page.context.close()


@pytest.mark.parametrize("status", [503, None])
async def test_an_answer_that_is_no_page_of_ours_leaves_the_form_as_it_was(
    desk: Desk, status: int | None
) -> None:
    page = await desk.sit_down(viewport=PHONE)
    cause, _, _ = await one_of(desk, HOSTILE)
    await page.goto(f"/console/failed/causes/{cause}")
    await page.get_by_label("A second").fill("7")

    async def answer(route: Route) -> None:
        await (route.abort() if status is None else route.fulfill(status=status, body="<p>away</p>"))

    await page.route("**/reprocess", answer)
    await page.locator("#dry-run-button").click()
    await expect(page.get_by_role("alert").filter(has_text="No usable answer came")).to_be_in_viewport()
    await expect(page.get_by_label("A second")).to_have_value("7")
    await page.unroute("**/reprocess")
    await page.locator("#dry-run-button").click()
    await expect(page.locator("#dry-run")).to_contain_text("would be sent")
    await expect(page.get_by_text("No usable answer came")).to_have_count(0)
    await page.context.close()


async def test_without_javascript_everything_can_be_done(desk: Desk) -> None:
    page = await desk.sit_down(java_script_enabled=False, viewport=PHONE)
    await expect(page.locator("#liveness-word")).to_have_text("Not live")
    await page.get_by_role("link", name=HOSTILE.kind).click()
    await page.get_by_role("button", name="Dry run").click()
    await expect(page.locator("#dry-run")).to_contain_text("would be sent")
    await page.get_by_text("Discard all of this cause").click()
    await page.get_by_label("Reason").fill("Withdrawn.")
    await page.get_by_label("is ever to be sent").check()
    await page.get_by_role("button", name="Discard them").click()
    await expect(page.get_by_text("were discarded")).to_be_visible()
    await page.get_by_role("link", name="Audit").click()
    await expect(page.get_by_text("Withdrawn.").first).to_be_visible()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    await page.goto("/console/failed")
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    await page.context.close()


async def test_a_search_changes_the_page_in_place_and_tells_what_does_not_fit(desk: Desk) -> None:
    page = await desk.sit_down(viewport=PHONE)
    await page.goto("/console/notifications")
    await page.evaluate("window.still = true")
    await page.get_by_label("Status").select_option("failed")
    await page.locator("#search").press("Enter")
    await page.wait_for_url("**/console/notifications?status=failed")
    await expect(page.locator("#spoken")).to_contain_text("notifications")
    await expect(page.locator("#search")).to_be_focused()
    await page.get_by_text("More filters").click()
    await page.get_by_label("User id").fill("nobody")
    await page.locator("#search").press("Enter")
    await expect(page.get_by_role("alert")).to_be_focused()
    await expect(page.get_by_label("User id")).to_have_attribute("aria-invalid", "true")
    assert await page.evaluate("window.still")
    await page.context.clear_cookies()
    await page.locator("#search").press("Enter")
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    await page.context.close()
