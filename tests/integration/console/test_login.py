"""Who gets into the console, how, and what a form from elsewhere does: nothing."""

import httpx
import pytest

from shared.web.admission import Admission
from tests.integration.console.scene import HOST, Scene

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSION = "carillon_console"


async def test_an_operator_logs_in_and_is_where_they_wanted_to_go(scene: Scene) -> None:
    browser = scene.browser()
    sent = await browser.get("/console/failed/all?status=discarded")
    assert sent.status_code == 303
    assert sent.headers["location"] == "/console/login?next=%2Fconsole%2Ffailed%2Fall%3Fstatus%3Ddiscarded"
    page = await browser.get(sent.headers["location"])
    assert page.status_code == 200
    answer = await browser.send(
        "/console/login", next="/console/failed/all?status=discarded", **await scene.account("operator")
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/failed/all?status=discarded")
    cookies = [line for line in answer.headers.get_list("set-cookie") if line.startswith(f"{SESSION}=")]
    (cookie,) = cookies
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert (await browser.get("/console/failed/all?status=discarded")).status_code == 200


async def test_the_refresh_token_is_ended_at_once(scene: Scene) -> None:
    scene.services.asked.clear()
    await scene.logged_in()
    paths = [path for path in scene.services.asked if "/auth/" in path]
    assert paths == ["/internal/v1/auth/token", "/internal/v1/auth/logout"]


async def test_a_login_leads_nowhere_else(scene: Scene) -> None:
    browser = scene.browser()
    answer = await browser.log_in(**await scene.account("admin"), next_page="https://example.org/console")
    assert answer.headers["location"] == "/console"


async def test_a_wrong_password_is_told_and_the_email_kept(scene: Scene) -> None:
    account = await scene.account("operator")
    browser = scene.browser()
    answer = await browser.log_in(email=account["email"], password="not the password")
    assert answer.status_code == 401
    assert "do not belong together" in answer.text
    assert account["email"] in answer.text
    assert "not the password" not in answer.text
    assert SESSION not in browser.http.cookies


async def test_somebody_without_the_rights_gets_a_polite_page_and_no_session(scene: Scene) -> None:
    browser = scene.browser()
    answer = await browser.log_in(**await scene.account("user"))
    assert answer.status_code == 403
    assert "for operators and administrators" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert SESSION not in browser.http.cookies


async def test_an_expired_or_made_up_session_leads_to_the_login(scene: Scene) -> None:
    browser = scene.browser()
    browser.http.cookies.set(SESSION, "eyJhbGciOiJub25lIn0.e30.", domain="gateway", path="/console")
    assert (await browser.get("/console")).headers["location"] == "/console/login"
    part = await browser.get("/console/jobs", **{"HX-Request": "true"})
    assert part.headers["hx-redirect"] == "/console/login?next=%2Fconsole%2Fjobs"
    assert (await browser.get("/console/live")).status_code == 401


async def test_an_api_key_is_no_session(scene: Scene) -> None:
    browser = scene.browser()
    browser.http.cookies.set(SESSION, scene.gateway.key, domain="gateway", path="/console")
    assert (await browser.get("/console")).headers["location"] == "/console/login"


async def test_logging_out_takes_a_form_of_ours_and_ends_the_session(scene: Scene) -> None:
    browser = await scene.logged_in()
    await browser.get("/console")
    assert (await browser.send("/console/logout", token="0" * 64)).status_code == 403
    await browser.get("/console")
    assert (await browser.send("/console/logout")).headers["location"] == "/console/login"
    assert (await browser.get("/console")).status_code == 303


async def test_a_login_form_of_somebody_else_logs_nobody_in(scene: Scene) -> None:
    other, browser = scene.browser(), scene.browser()
    await other.get("/console/login")
    await browser.get("/console/login")
    browser.page = other.page
    answer = await browser.send("/console/login", **await scene.account("operator"))
    assert answer.status_code == 403
    assert SESSION not in browser.http.cookies


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://example.org"}, {"origin": "null"}]
)
async def test_a_form_that_another_site_sends_is_refused_even_with_the_token(
    scene: Scene, headers: dict[str, str]
) -> None:
    browser = await scene.logged_in()
    await browser.get("/console/failed")
    browser.http.headers.update(headers)
    answer = await browser.send(f"/console/failed/causes/{'a' * 32}/discard", reason="x", sure="yes")
    assert answer.status_code == 403
    assert "Nothing was done" in answer.text


async def test_a_session_is_known_at_the_door_like_any_credentials(scene: Scene) -> None:
    wired = [entry.kwargs.get("admission") for entry in scene.gateway.app.user_middleware]
    (admission,) = [one for one in wired if isinstance(one, Admission)]
    browser = await scene.logged_in()
    cookie = f"{SESSION}={browser.http.cookies[SESSION]}".encode()
    scope = {"type": "http", "path": "/console/failed", "headers": [(b"cookie", cookie)]}
    found = admission.cookie_credentials(scope)
    assert found is not None
    assert browser.http.cookies[SESSION].encode() in found


async def test_a_link_from_another_site_finds_the_session(scene: Scene) -> None:
    browser = scene.browser()
    answer = await browser.get("/console/failed", **{"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0;url=/console/failed"' in answer.text


async def test_while_the_user_service_is_away_the_login_says_so(scene: Scene) -> None:
    browser, account = scene.browser(), await scene.account("operator")
    await browser.get("/console/login")
    scene.services.away.add("user")
    answer = await browser.send("/console/login", **account)
    assert answer.status_code == 503
    assert "user service does not answer" in answer.text
    assert account["email"] in answer.text


async def test_who_is_logged_in_goes_on_while_the_user_service_is_away(scene: Scene) -> None:
    browser = await scene.logged_in()
    scene.services.away.add("user")
    assert (await browser.get("/console/failed")).status_code == 200


async def test_headers_that_nobody_can_read_break_nothing(scene: Scene) -> None:
    browser = scene.browser(referer="http://[", origin="http://[")
    answer = await browser.http.post("/console/jobs/7/pause", data={"csrf_token": "0"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")


@pytest.mark.parametrize(
    ("content_type", "path", "body", "status"),
    [
        ("application/x-www-form-urlencoded", "/console/failed", b"a=b", 405),
        ("application/json", "/console/login", b"{}", 415),
        ("application/x-www-form-urlencoded", "/console/login", b"a=" + b"b" * 65_536, 413),
        ("application/x-www-form-urlencoded", "/console/login", b"a=" + b"b" * 2_200_000, 413),
    ],
)
async def test_what_the_shell_refuses_is_a_page_for_people_and_a_problem_for_scripts(
    scene: Scene, content_type: str, path: str, body: bytes, status: int
) -> None:
    browser = scene.browser()
    headers = {"content-type": content_type, "accept": "text/html"}
    answer = await browser.http.post(path, content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert f'href="{path}">Back to the page' in answer.text
    script = await browser.http.post(path, content=body, headers={**headers, "hx-request": "true"})
    of_ours = script.headers.get("carillon-console") == "page"
    assert of_ours or script.headers["content-type"] == "application/problem+json"
    for one in (answer, script):
        assert "default-src 'none'" in one.headers["content-security-policy"]
        assert one.headers["cache-control"] == "no-store"


async def test_every_answer_is_guarded(scene: Scene) -> None:
    browser = await scene.logged_in()
    for path in (
        "/console",
        "/console/login",
        "/console/failed",
        "/console/nothing",
        "/console/failed/no-id",
    ):
        answer: httpx.Response = await browser.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"], path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store", path
        assert answer.status_code == 303 or "text/html" in answer.headers["content-type"]
    unknown = await scene.browser(host=HOST).get("/console/nothing")
    assert unknown.status_code == 303
