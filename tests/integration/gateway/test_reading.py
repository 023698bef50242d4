"""Who sees what, in which order; and what can still be taken back."""

from decimal import Decimal
from uuid import uuid4

import pytest

from tests.builders import a_recipient
from tests.integration.gateway.conftest import Gateway, StartGateway
from tests.integration.gateway.scenes import LATER, Accounts, ask


async def test_lists_are_newest_first_in_pages_and_filtered(gateway: Gateway) -> None:
    ids = [(await gateway.post(gateway.a_request(priority=1 + n))).json()["id"] for n in range(5)]
    promo = (await gateway.post(gateway.a_request(category="promotional"))).json()
    ids.append(promo["id"])
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await gateway.get(f"?limit=4{cursor}")).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids[::-1]

    async def found(query: str) -> list[str]:
        answer = await gateway.get(query)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    assert await found("?category=promotional") == [promo["id"]]
    assert await found("?template_code=nothing") == []
    assert len(await found(f"?user_id={promo['user_id']}")) == 6
    assert len(await found("?notification_type=email")) == 6
    assert await found("?event_id=none") == []
    assert await found(f"?created_before={quoted(promo['created_at'])}") == ids[:-1][::-1]
    assert await found(f"?created_after={quoted(promo['created_at'])}") == [promo["id"]]
    for bad in ("?limit=0", "?limit=201", "?cursor=%%%", "?status=gone", "?colour=red"):
        assert (await gateway.get(bad)).status_code == 422, bad


def quoted(time: str) -> str:
    return time.replace("+", "%2B")


@pytest.mark.parametrize("number", ["1e19", "1e25", "1e300"])
async def test_what_was_stored_can_be_read_whatever_is_accepted_today(gateway: Gateway, number: str) -> None:
    """jsonb gives such a number back as an integer of more than 64 bits."""
    body = gateway.a_request(metadata={"n": 1}, idempotency_key=str(uuid4()))
    identifier = (await gateway.post(body)).json()["id"]
    await gateway.sql(f"UPDATE notifications SET metadata = '{{\"n\": {number}}}'")
    for answer in (await gateway.get(f"/{identifier}"), await gateway.get(""), await gateway.post(body)):
        assert answer.is_success, answer.text
    assert (await gateway.get(f"/{identifier}")).json()["metadata"] == {"n": int(Decimal(number))}


async def test_another_callers_notification_does_not_exist(gateway: Gateway) -> None:
    identifier = (await gateway.post(gateway.a_request())).json()["id"]
    stranger = gateway.peers.add_key(scopes=("notifications:send", "notifications:read"))
    for method, path in (("GET", f"/{identifier}"), ("POST", f"/{identifier}/cancel")):
        answer = await ask(gateway, method, path, as_=stranger)
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert (await ask(gateway, "GET", "", as_=stranger)).json()["items"] == []
    sender_only = gateway.peers.add_key(scopes=("notifications:send",))
    assert (await ask(gateway, "GET", f"/{identifier}", as_=sender_only)).status_code == 403
    assert (await gateway.get(f"/{uuid4()}")).status_code == 404
    assert (await gateway.get("/not-an-id")).status_code == 422


async def test_people_send_to_themselves_and_see_what_is_theirs(gateway: Gateway) -> None:
    gateway.app.state.access = Accounts(gateway.app.state.access)
    ann, bob = a_recipient(), a_recipient(email="bob@example.com")
    gateway.peers.recipients.update({ann.id: ann, bob.id: bob})
    to_herself = await ask(
        gateway, "POST", "", as_=f"user:{ann.id}", **gateway.a_request(user_id=str(ann.id))
    )
    assert to_herself.status_code == 202, to_herself.text
    to_bob = gateway.a_request(user_id=str(bob.id))
    assert (await ask(gateway, "POST", "", as_=f"user:{ann.id}", **to_bob)).status_code == 403
    assert (await ask(gateway, "POST", "", as_=f"operator:{ann.id}", **to_bob)).status_code == 403
    addressed = await ask(gateway, "POST", "", as_=f"admin:{ann.id}", **to_bob)
    path = f"/{addressed.json()['id']}"
    for viewer, status in ((f"user:{bob.id}", 200), (f"operator:{uuid4()}", 200), (f"user:{uuid4()}", 404)):
        assert (await ask(gateway, "GET", path, as_=viewer)).status_code == status
    assert len((await ask(gateway, "GET", "", as_=f"user:{bob.id}")).json()["items"]) == 1


async def test_people_send_themselves_templates_and_no_words_of_their_own(gateway: Gateway) -> None:
    gateway.app.state.access = Accounts(gateway.app.state.access)
    ann = a_recipient()
    gateway.peers.recipients[ann.id] = ann
    own_words = {
        "user_id": str(ann.id),
        "notification_type": "email",
        "content": {"subject": "You have won", "body": "https://evil.example"},
    }
    for role, status in (("user", 403), ("operator", 403), ("admin", 202)):
        answer = await ask(gateway, "POST", "", as_=f"{role}:{ann.id}", **own_words)
        assert answer.status_code == status, answer.text
    template = gateway.a_request(user_id=str(ann.id))
    batch = await ask(
        gateway, "POST", "/batch", as_=f"user:{ann.id}", notifications=[own_words, template, own_words]
    )
    assert (batch.json()["accepted"], batch.json()["rejected"]) == (1, 2)
    assert await gateway.count("notifications") == 2


async def test_how_often_people_send_to_themselves_is_limited(
    start_gateway: StartGateway, redis_url: str
) -> None:
    gateway = await start_gateway(redis_url=redis_url, own_sending_rate="4/minute")
    gateway.app.state.access = Accounts(gateway.app.state.access)
    ann, bob = a_recipient(), a_recipient(email="bob@example.com")
    gateway.peers.recipients.update({ann.id: ann, bob.id: bob})
    to_ann, to_bob = (gateway.a_request(user_id=str(person.id)) for person in (ann, bob))
    first = await ask(gateway, "POST", "", as_=f"user:{ann.id}", **to_ann)
    assert first.status_code == 202, first.text
    assert first.headers["RateLimit-Policy"] == '"own-sending";q=4;w=60'
    assert first.headers["RateLimit"].startswith('"own-sending";r=3;')
    pair = await ask(gateway, "POST", "/batch", as_=f"user:{ann.id}", notifications=[to_ann, to_ann])
    assert pair.headers["RateLimit"].startswith('"own-sending";r=1;')
    refused = await ask(gateway, "POST", "/batch", as_=f"user:{ann.id}", notifications=[to_ann, to_ann])
    assert (refused.status_code, int(refused.headers["Retry-After"]) >= 1) == (429, True)
    assert (await ask(gateway, "POST", "", as_=f"user:{bob.id}", **to_bob)).status_code == 202
    for _ in range(6):
        unlimited = await ask(gateway, "POST", "", as_=f"admin:{bob.id}", **to_ann)
        assert (unlimited.status_code, "RateLimit" in unlimited.headers) == (202, False)
    assert await gateway.count("notifications") == 10


async def test_what_waits_can_be_cancelled_once(gateway: Gateway) -> None:
    identifier = (await gateway.post(gateway.a_request(scheduled_at=LATER))).json()["id"]
    cancelled = await ask(gateway, "POST", f"/{identifier}/cancel", as_=gateway.key)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert [entry["status"] for entry in cancelled.json()["timeline"]] == ["scheduled", "cancelled"]
    assert await gateway.count("outbox") == 0
    again = await ask(gateway, "POST", f"/{identifier}/cancel", as_=gateway.key)
    assert (again.status_code, again.json()["type"]) == (409, "urn:carillon:problem:not_cancellable")
    at_once = (await gateway.post(gateway.a_request())).json()["id"]
    assert (await ask(gateway, "POST", f"/{at_once}/cancel", as_=gateway.key)).status_code == 409


async def test_the_description_is_valid_and_lists_the_routes(gateway: Gateway) -> None:
    document = (await gateway.http.get("/openapi.json")).json()
    send = document["paths"]["/api/v1/notifications"]["post"]
    assert set(send["responses"]) >= {"202", "400", "401", "403", "409", "413", "415", "422", "503"}
    batch = document["components"]["schemas"]["BatchRequest"]["properties"]["notifications"]
    assert batch["maxItems"] == 1000
    assert "notification_type" in batch["items"]["properties"]
    assert "/internal" not in str(document["paths"])
