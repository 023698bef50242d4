"""What operators see and do on the pages is what the domain knows and does."""

import re
from uuid import uuid4

import httpx
import pytest

from shared.contracts.delivery import Problem, TemplateMessage
from tests.builders import a_delivery_report
from tests.integration.console.scene import Browser, Scene
from tests.integration.gateway.conftest import eventually
from tests.integration.gateway.failing import Failed, Worker, failed_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKUP = '<img src=x onerror=alert(1)> </td><script>alert("2")</script>'
ID = "[0-9a-f]{8}-[0-9a-f-]{27}"


def a_problem(message: str = "The mail server does not take connections.") -> Problem:
    """Of a kind that no other test has: a cause of its own."""
    return Problem(kind=f"smtp.kind_{uuid4().hex[:8]}", message=message)


async def cause_of(scene: Scene, problem: Problem) -> str:
    """As its page is named."""
    rows = await scene.gateway.sql("SELECT cause FROM failed WHERE error_kind = $1 LIMIT 1", problem.kind)
    return str(rows[0]["cause"])


async def failure_of(scene: Scene, item: Failed) -> str:
    """The id of what was parked of it."""
    rows = await scene.gateway.sql("SELECT id FROM failed WHERE notification_id = $1", item.id)
    return str(rows[0]["id"])


async def statuses(scene: Scene, problem: Problem) -> list[str]:
    """Of all failures of the cause."""
    rows = await scene.gateway.sql("SELECT status FROM failed WHERE error_kind = $1", problem.kind)
    return sorted({row["status"] for row in rows})


async def test_the_overview_shows_every_part(scene: Scene) -> None:
    problem = a_problem()
    await failed_for(scene.gateway, problem, 2)
    breaker = {"ok": False, "detail": "open, next probe in 42 s", "duration_ms": 1, "required": False}
    missing = {"ok": False, "detail": "no answer within 2 s", "duration_ms": 1, "required": True}
    scene.services.ready["email"] = httpx.Response(
        503,
        json={
            "status": "not_ready",
            "service": "email_service",
            "checks": {"breaker smtp": breaker, "broker": missing},
        },
    )
    scene.services.away.add("push")
    browser = await scene.logged_in()
    page = ""

    async def is_whole() -> bool:
        nonlocal page
        page = (await browser.get("/console")).text
        return problem.kind in page and "next probe in 42 s" in page

    await eventually(is_whole)
    assert "no answer within 2 s" in page
    assert "no answer</span>" in page  # the push service
    assert re.search(r'data-label="Accepted" class="figure"><div class="in">[1-9]', page)
    assert "email · normal" in page
    assert "Not live" in page


async def test_a_notification_is_found_by_filters_and_by_its_id(scene: Scene) -> None:
    problem = a_problem()
    (item,) = await failed_for(scene.gateway, problem)
    browser = await scene.logged_in()
    found = await browser.get("/console/notifications?status=failed&template_code=order_shipped&category=")
    assert str(item.id) in found.text
    assert str(item.id) not in (await browser.get("/console/notifications?status=delivered")).text
    straight = await browser.get(f"/console/notifications?id={item.id}")
    assert straight.headers["location"] == f"/console/notifications/{item.id}"
    page = (await browser.get(straight.headers["location"])).text
    assert "Timeline" in page
    assert problem.kind in page
    assert await failure_of(scene, item) in page
    wrong = await browser.get("/console/notifications?user_id=nobody&created_after=2030-01-31T08:00")
    assert wrong.status_code == 422
    assert "valid UUID" in wrong.text
    unread = await browser.get("/console/notifications?created_after=yesterday")
    assert "Give a date and a time of day, in UTC." in unread.text
    assert (await browser.get(f"/console/notifications/{uuid4()}")).status_code == 404


async def test_lists_go_on_by_pages(scene: Scene) -> None:
    problem = a_problem()
    await failed_for(scene.gateway, problem, 26)
    browser = await scene.logged_in()
    path = f"/console/failed/causes/{await cause_of(scene, problem)}"
    first = (await browser.get(path)).text
    older = re.search(r'href="([^"]+)" rel="next"', first)
    assert older is not None
    second = (await browser.get(older[1])).text
    link = re.compile(rf'href="/console/failed/({ID})"')
    assert (len(link.findall(first)), len(link.findall(second))) == (25, 1)
    assert not set(link.findall(first)) & set(link.findall(second))
    assert 'rel="first"' in second


async def test_a_failure_is_sent_again_with_changes(scene: Scene) -> None:
    (item,) = await failed_for(scene.gateway, a_problem())
    browser = await scene.logged_in("admin")
    path = f"/console/failed/{await failure_of(scene, item)}"
    page = (await browser.get(path)).text
    assert "&#34;Ann&#34;" in page  # an admin sees variables, and can change them
    refused = await browser.send(f"{path}/reprocess", to="nobody", variables="{")
    assert refused.status_code == 422
    assert "not JSON" in refused.text
    assert "nobody" in refused.text  # what was filled in is still there
    answer = await browser.send(f"{path}/reprocess", to="new@example.com", variables='{"name": "Ann"}')
    assert answer.status_code == 303, answer.text
    (order,) = await scene.gateway.released(1)
    assert (order.notification_id, order.run, order.address) == (item.id, 2, "new@example.com")
    done = (await browser.get(answer.headers["location"])).text
    assert "It is sent again" in done
    assert "Send it again" not in done
    again = await browser.http.post(
        f"{path}/reprocess",
        data={"csrf_token": re.search(r"[0-9a-f]{64}", done)[0]},  # type: ignore[index]
    )
    assert again.status_code == 409
    await scene.gateway.report(a_delivery_report(notification_id=item.id, run=2))


async def test_what_is_masked_is_never_sent_back_as_a_change(scene: Scene) -> None:
    (item,) = await failed_for(scene.gateway, a_problem())
    browser = await scene.logged_in("operator")
    path = f"/console/failed/{await failure_of(scene, item)}"
    page = (await browser.get(path)).text
    assert "Ann" not in page
    assert "Personal data are masked" in page
    assert re.search(r"<textarea[^>]*></textarea>", page)
    assert (await browser.send(f"{path}/reprocess", variables="")).status_code == 303
    (order,) = await scene.gateway.released(1)
    assert isinstance(order.message, TemplateMessage)
    assert order.message.variables == {"name": "Ann"}
    await scene.gateway.report(a_delivery_report(notification_id=item.id, run=2))


async def test_a_failure_is_discarded_with_a_reason(scene: Scene) -> None:
    problem = a_problem()
    (item,) = await failed_for(scene.gateway, problem)
    browser = await scene.logged_in()
    path = f"/console/failed/{await failure_of(scene, item)}"
    await browser.get(path)
    assert (await browser.send(f"{path}/discard", reason=" ")).status_code == 422
    assert await statuses(scene, problem) == ["open"]
    assert (await browser.send(f"{path}/discard", reason="Cancelled by telephone.")).status_code == 303
    assert await statuses(scene, problem) == ["discarded"]
    assert "Cancelled by telephone." in (await browser.get("/console/audit")).text


async def test_a_cause_is_tried_dry_and_then_sent_again_as_a_job(scene: Scene) -> None:
    problem = a_problem()
    await failed_for(scene.gateway, problem, 12)
    browser = await scene.logged_in()
    path = f"/console/failed/causes/{await cause_of(scene, problem)}"
    await browser.get(path)
    form = {"until": browser.until, "per_second": "1000", "limit": "11"}
    dry = await browser.send(f"{path}/reprocess", act="dry_run", **form)
    assert "Dry run: nothing was sent" in dry.text
    assert re.search(r"<strong>11</strong> would be sent", dry.text)
    assert "Send 11 again" in dry.text
    assert await statuses(scene, problem) == ["open"]
    for wrong in ({"per_second": "-1"}, {"act": "oops"}, {"act": ""}, {"until": ""}, {"until": "soon"}):
        answer = await browser.send(f"{path}/reprocess", **{**form, "act": "start", **wrong})
        assert answer.status_code == 422, wrong
        assert "text/html" in answer.headers["content-type"]
    assert (await browser.get("/console/jobs")).text.count("<h1>Jobs") == 1
    assert await statuses(scene, problem) == ["open"]
    async with Worker(scene.gateway):
        started = await browser.send(f"{path}/reprocess", act="start", **form)
        assert started.status_code == 303, started.text
        await job_is(browser, started.headers["location"], "completed")
    rows = await scene.gateway.sql(
        "SELECT status, count(*) FROM failed WHERE error_kind = $1 GROUP BY 1 ORDER BY 1", problem.kind
    )
    assert [tuple(row) for row in rows] == [("open", 1), ("reprocessed", 11)]


async def job_is(browser: Browser, path: str, status: str) -> None:
    """Its page says so."""

    async def is_there() -> bool:
        return f'data-status="{status}"' in (await browser.get(path)).text

    await eventually(is_there, within_s=30)


async def test_a_job_is_paused_and_cancelled(scene: Scene) -> None:
    problem = a_problem()
    await failed_for(scene.gateway, problem, 3)
    browser = await scene.logged_in()
    cause = f"/console/failed/causes/{await cause_of(scene, problem)}"
    await browser.get(cause)
    form = {"act": "start", "per_second": "0.1", "until": browser.until}
    path = (await browser.send(f"{cause}/reprocess", **form)).headers["location"]
    await browser.get(path)
    assert (await browser.send(f"{path}/pause")).status_code == 303
    await job_is(browser, path, "paused")
    assert (await browser.send(f"{path}/cancel")).status_code == 303
    await job_is(browser, path, "cancelled")
    refused = await browser.send(f"{path}/resume")
    assert refused.status_code == 409
    assert f'<a href="{path}" id="reload">' in refused.text
    assert (await browser.get(f"{path}/resume")).headers["location"] == path
    await browser.get(path)
    assert (await browser.send(f"{path}/explode")).status_code == 404
    if released := await scene.gateway.depth():
        await scene.gateway.released(released)


async def test_a_cause_is_discarded_only_by_who_is_sure(scene: Scene) -> None:
    problem = a_problem()
    await failed_for(scene.gateway, problem, 3)
    browser = await scene.logged_in()
    path = f"/console/failed/causes/{await cause_of(scene, problem)}"
    assert "were discarded" not in (await browser.get(f"{path}?done=discarded")).text
    until = browser.until
    assert (await browser.send(f"{path}/discard", reason="Withdrawn.", until=until)).status_code == 422
    assert (await browser.send(f"{path}/discard", reason="Withdrawn.", sure="yes")).status_code == 422
    assert await statuses(scene, problem) == ["open"]
    answer = await browser.send(f"{path}/discard", reason="Withdrawn.", sure="yes", until=until)
    assert answer.status_code == 303, answer.text
    assert await statuses(scene, problem) == ["discarded"]
    assert "were discarded" in (await browser.get(answer.headers["location"])).text
    other = await scene.logged_in()
    assert "were discarded" not in (await other.get(answer.headers["location"])).text
    assert "you</span>" in (await browser.get("/console/audit")).text


async def test_what_failed_after_the_page_was_made_is_not_meant(scene: Scene) -> None:
    problem = a_problem()
    await failed_for(scene.gateway, problem, 1)
    browser = await scene.logged_in()
    path = f"/console/failed/causes/{await cause_of(scene, problem)}"
    await browser.get(path)
    await failed_for(scene.gateway, problem, 1)
    await browser.send(f"{path}/discard", reason="Withdrawn.", sure="yes", until=browser.until)
    assert await statuses(scene, problem) == ["discarded", "open"]


async def test_a_doubt_is_settled(scene: Scene) -> None:
    (item,) = await failed_for(scene.gateway, a_problem())
    await scene.gateway.sql("UPDATE notifications SET status = 'unknown' WHERE id = $1", item.id)
    browser = await scene.logged_in()
    path = f"/console/notifications/{item.id}"
    page = (await browser.get(f"{path}?done=resolved")).text
    assert "Settle the doubt" in page
    assert "The doubt is settled" not in page
    assert (await browser.send(f"{path}/resolve", outcome="perhaps")).status_code == 422
    assert (await browser.send(f"{path}/resolve", outcome="sent")).status_code == 303
    assert "The doubt is settled" in (await browser.get(f"{path}?done=resolved")).text
    assert (await browser.send(f"{path}/resolve", outcome="sent")).status_code == 409


async def test_markup_in_what_others_wrote_is_shown_as_text(scene: Scene) -> None:
    problem = a_problem(MARKUP)
    (item,) = await failed_for(scene.gateway, problem)
    await scene.gateway.park(MARKUP.encode())
    browser = await scene.logged_in("admin")
    cause = await cause_of(scene, problem)
    for path in (
        "/console",
        "/console/failed",
        f"/console/failed/causes/{cause}",
        f"/console/failed/{await failure_of(scene, item)}",
        f"/console/notifications/{item.id}",
        f"/console/failed/all?error_type={problem.kind}",
    ):
        page = (await browser.get(path)).text
        assert "<img" not in page.replace('<img src="/console/static', ""), path
        assert "<script>" not in page, path
        if path != "/console":
            assert "&lt;img src=x" in page, path
