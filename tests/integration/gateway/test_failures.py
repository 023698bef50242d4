"""Operators find what failed, and understand it, without seeing more of people than they may."""

import base64
from uuid import uuid4

import pytest

from shared.contracts.delivery import DeliveryReported, Problem
from tests.builders import a_template_version
from tests.integration.gateway.conftest import Gateway, eventually
from tests.integration.gateway.failing import (
    BROKEN,
    REFUSED,
    SCOPES,
    a_failure,
    ask,
    fail,
    failed,
    failed_for,
    items,
    start_job,
)
from tests.integration.gateway.scenes import Accounts

STACK = (
    "Traceback (most recent call last):\n"
    '  File "/app/shared/delivery/worker.py", line 7, in deliver\n'
    '    raise ValueError("ann@example.com")\n'
    "ValueError: ann@example.com is odd\n"
)


@pytest.fixture
def operated(gateway: Gateway) -> Gateway:
    """A gateway whose sender may deal with failures, and which knows accounts."""
    gateway.key = gateway.peers.add_key(scopes=SCOPES)
    return gateway


def as_account(gateway: Gateway, role: str) -> str:
    """From now on only accounts are known."""
    if not isinstance(gateway.app.state.access, Accounts):
        gateway.app.state.access = Accounts(gateway.app.state.access)
    return f"{role}:{uuid4()}"


async def test_failures_are_listed_newest_first_page_by_page(operated: Gateway) -> None:
    await failed(operated, 5)
    everything = await items(operated)
    assert [item["id"] for item in everything] == sorted((item["id"] for item in everything), reverse=True)
    first = (await ask(operated, "GET", "?limit=2")).json()
    second = (await ask(operated, "GET", f"?limit=3&cursor={first['next_cursor']}")).json()
    assert first["items"] + second["items"] == everything
    assert second["next_cursor"] is None


async def test_every_filter_narrows_the_list(operated: Gateway) -> None:
    operated.peers.templates["other"] = a_template_version(code="other")
    [refused] = await failed(operated)
    [broken] = await failed_for(operated, BROKEN, template_code="other")
    [first, second] = reversed(await items(operated))
    assert (first["notification_id"], second["notification_id"]) == (str(refused.id), str(broken.id))
    for query in (
        f"?error_type={REFUSED.kind}", "?template_code=order_shipped", f"?cause={first['cause']}",
        f"?notification_id={refused.id}", f"?until={second['created_at']}",
    ):  # fmt: skip
        assert [item["id"] for item in await items(operated, query)] == [first["id"]], query
    assert [item["id"] for item in await items(operated, f"?since={second['created_at']}")] == [second["id"]]
    assert len(await items(operated, "?notification_type=email&provider=smtp&status=open")) == 2
    for query in ("?notification_type=push", "?provider=fcm", "?status=discarded", f"?job_id={uuid4()}"):
        assert await items(operated, query) == []
    assert (await ask(operated, "GET", "?provder=smtp")).status_code == 422


async def test_the_summary_names_each_cause_with_its_latest_example(operated: Gateway) -> None:
    await failed(operated, 3)
    await failed_for(operated, BROKEN)
    found = (await ask(operated, "GET", "/summary")).json()
    newest = await items(operated)
    assert found["total"] == 4
    [refused, broken] = found["causes"]
    assert (refused["error_type"], refused["count"], refused["error"]) == (REFUSED.kind, 3, REFUSED.message)
    assert (broken["example_id"], broken["template_code"]) == (newest[0]["id"], "order_shipped")
    assert (refused["example_id"], refused["first_seen"]) == (newest[1]["id"], newest[3]["created_at"])
    narrowed = (await ask(operated, "GET", f"/summary?error_type={BROKEN.kind}")).json()
    assert (narrowed["total"], len(narrowed["causes"])) == (1, 1)


async def test_a_failure_is_whole_for_an_administrator_and_masked_for_an_operator(operated: Gateway) -> None:
    request = operated.a_request(to={"email": "ann@example.com"})
    del request["user_id"]
    await operated.post(request)
    [order] = await operated.released(1)
    await fail(operated, order, stack=STACK)
    await eventually(lambda: _parked(operated, 1))
    [item] = await items(operated)
    admin, operator = as_account(operated, "admin"), as_account(operated, "operator")
    whole = (await ask(operated, "GET", f"/{item['id']}", as_=admin)).json()
    message = whole["message"]
    assert (message["address"], message["variables"]) == ("ann@example.com", {"name": "Ann"})
    assert (message["masked"], whole["stack"], whole["notification_status"]) == (False, STACK, "failed")
    [attempt] = whole["attempts"]
    assert (attempt["provider"], attempt["outcome"], attempt["error"]) == (
        "smtp",
        "rejected",
        REFUSED.message,
    )
    answer = await ask(operated, "GET", f"/{item['id']}", as_=operator)
    masked = answer.json()
    assert (masked["message"]["address"], masked["message"]["variables"]) == (
        "•••@example.com",
        {"name": "•••"},
    )
    assert masked["message"]["masked"]
    assert masked["stack"].splitlines() == [
        "Traceback (most recent call last):",
        '  File "/app/shared/delivery/worker.py", line 7, in deliver',
        "ValueError",
    ]
    assert "ann@" not in answer.text and "Ann" not in answer.text


async def test_what_nobody_can_read_is_kept_with_its_bytes(operated: Gateway) -> None:
    await operated.park(b"\xff not a message")
    await eventually(lambda: _parked(operated, 1))
    assert await items(operated) == []  # it is nobody's, so no key sees it
    admin, operator = as_account(operated, "admin"), as_account(operated, "operator")
    [item] = (await ask(operated, "GET", as_=operator)).json()["items"]
    assert (item["error_type"], item["notification_id"]) == ("message.undecodable", None)
    raw = (await ask(operated, "GET", f"/{item['id']}", as_=admin)).json()["raw"]
    assert (base64.b64decode(raw["base64"]), raw["size"]) == (b"\xff not a message", 15)
    assert (await ask(operated, "GET", f"/{item['id']}", as_=operator)).json()["raw"]["base64"] is None


async def test_a_key_sees_what_its_owner_sent_and_needs_the_scopes(operated: Gateway) -> None:
    owner = uuid4()
    operated.key = operated.peers.add_key(scopes=SCOPES, owner=owner)
    await failed(operated)
    [item] = await items(operated)
    strange = operated.peers.add_key(scopes=SCOPES, owner=uuid4())
    assert (await ask(operated, "GET", as_=strange)).json()["items"] == []
    assert (await ask(operated, "GET", f"/{item['id']}", as_=strange)).status_code == 404
    assert (await ask(operated, "POST", f"/{item['id']}/reprocess", as_=strange)).status_code == 404
    assert (await ask(operated, "POST", f"/{item['id']}/discard", as_=strange, reason="x")).status_code == 404
    assert (await ask(operated, "GET", "/summary", as_=strange)).json()["total"] == 0
    withdrawn = await ask(
        operated, "POST", "/discard", as_=strange, filter={"notification_type": "email"}, reason="x"
    )
    assert withdrawn.json()["discarded"] == 0
    assert (await start_job(operated, as_=strange, dry_run=True))["matching"] == 0
    assert (await start_job(operated, as_=strange))["total"] == 0
    reader = operated.peers.add_key(scopes=("failed:read",), owner=owner)
    assert (await ask(operated, "GET", f"/{item['id']}", as_=reader)).status_code == 200
    assert (await ask(operated, "POST", f"/{item['id']}/reprocess", as_=reader)).status_code == 403
    sender = operated.peers.add_key(scopes=("notifications:send",))
    assert (await ask(operated, "GET", as_=sender)).status_code == 403
    assert (await ask(operated, "GET", f"/{uuid4()}")).status_code == 404
    job = await start_job(operated, per_second=0.1)
    for act in ("pause", "resume", "cancel"):
        assert (await ask(operated, "POST", f"/jobs/{job['id']}/{act}", as_=strange)).status_code == 404
    assert (await ask(operated, "GET", f"/jobs/{job['id']}", as_=strange)).status_code == 404
    for path in ("/jobs", "/audit"):
        mine = (await ask(operated, "GET", path)).json()["items"]
        assert mine and not {one["id"] for one in mine} & {
            one["id"] for one in (await ask(operated, "GET", path, as_=strange)).json()["items"]
        }


async def test_a_failure_of_a_run_that_was_overtaken_needs_nobody(operated: Gateway) -> None:
    """A second copy of the first run's report, after the failure was sent again."""
    [broken] = await failed(operated)
    [item] = await items(operated)
    await ask(operated, "POST", f"/{item['id']}/reprocess")
    late = a_failure(broken.order, target="another", problem=Problem(kind="late", message="Late."))
    assert isinstance(late, DeliveryReported)
    await fail(operated, broken.order, target="another")
    await eventually(lambda: _parked(operated, 2))
    assert await items(operated) == []


async def test_many_are_discarded_with_a_reason(operated: Gateway) -> None:
    await failed(operated, 4)
    [other] = await failed_for(operated, BROKEN)
    answer = await ask(
        operated, "POST", "/discard", filter={"error_type": REFUSED.kind}, reason="Withdrawn", limit=3
    )
    assert answer.json() == {"discarded": 3, "remaining": 1}
    answer = await ask(operated, "POST", "/discard", filter={"error_type": REFUSED.kind}, reason="Withdrawn")
    assert answer.json() == {"discarded": 1, "remaining": 0}
    assert [item["notification_id"] for item in await items(operated)] == [str(other.id)]
    acts = (await ask(operated, "GET", "/audit")).json()["items"]
    assert [(act["act"], act["detail"]) for act in acts] == [("discarded", "Withdrawn")] * 4


async def _parked(gateway: Gateway, count: int) -> bool:
    return await gateway.count("failed") == count
