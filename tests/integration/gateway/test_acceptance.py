"""POST /notifications: what is accepted is stored and released; what is not leaves nothing behind."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import InlineMessage, TemplateMessage
from tests.builders import a_recipient, a_template_version
from tests.integration.gateway.conftest import Gateway, StartGateway, eventually


async def test_an_accepted_notification_is_released_with_its_version_pinned(gateway: Gateway) -> None:
    answer = await gateway.post(gateway.a_request(metadata={"order": "123"}))
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert answer.headers["Location"] == f"/api/v1/notifications/{body['id']}"
    assert set(body) == {
        "id", "status", "user_id", "notification_type", "template_code", "priority", "category",
        "metadata", "scheduled_at", "created_at",
    }  # fmt: skip
    assert (body["status"], body["metadata"], body["priority"]) == ("accepted", {"order": "123"}, 5)
    [order] = await gateway.released(1)
    assert str(order.notification_id) == body["id"]
    assert order.message == TemplateMessage(
        code="order_shipped", language="en", version=1, variables={"name": "Ann"}
    )
    assert order.correlation_id == answer.headers["X-Correlation-ID"]

    async def is_queued() -> bool:
        return bool((await gateway.get(f"/{body['id']}")).json()["status"] == "queued")

    await eventually(is_queued)
    detail = (await gateway.get(f"/{body['id']}")).json()
    assert [entry["status"] for entry in detail["timeline"]] == ["accepted", "queued"]
    assert detail["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("changes", "lane"),
    [
        ({"priority": 8}, Lane.URGENT),
        ({"category": "promotional"}, Lane.BULK),
        ({"category": "security"}, Lane.NORMAL),
    ],
)
async def test_each_takes_its_lane(gateway: Gateway, changes: dict[str, object], lane: Lane) -> None:
    await gateway.post(gateway.a_request(**changes))
    assert len(await gateway.released(1, lane=lane)) == 1


async def test_content_and_an_address_go_as_they_are(gateway: Gateway) -> None:
    answer = await gateway.post(
        {
            "to": {"email": "bob@example.com"},
            "notification_type": "email",
            "content": {"subject": "Hi", "body": "{{ not a template }}"},
        }
    )
    assert answer.status_code == 202
    [order] = await gateway.released(1)
    assert (order.user_id, order.address) == (None, "bob@example.com")
    assert order.message == InlineMessage(subject="Hi", body="{{ not a template }}")


async def test_the_senders_own_id_finds_the_recipient(gateway: Gateway) -> None:
    request = gateway.a_request(external_id="customer-1")
    user_id = request.pop("user_id")
    assert (await gateway.post(request)).json()["user_id"] == user_id


async def test_a_test_key_marks_what_it_sends(gateway: Gateway) -> None:
    key = gateway.peers.add_key(scopes=("notifications:send",), kind="test")
    await gateway.post(gateway.a_request(), Authorization=f"Bearer {key}")
    assert (await gateway.released(1))[0].test


NOBODY = str(uuid4())
REFUSALS: list[tuple[dict[str, object], str]] = [
    ({"temlate_code": "order_shipped"}, "temlate_code"),
    ({"template_code": "nothing"}, "template_code"),
    ({"variables": {}}, "variables.name"),
    ({"user_id": NOBODY}, "user_id"),
    ({"user_id": "abc"}, "user_id"),
    ({"notification_type": "push"}, "user_id"),
    ({"notification_type": "pigeon"}, "notification_type"),
    ({"category": "promotinal"}, "category"),
    ({"priority": 11}, "priority"),
    ({"priority": True}, "priority"),
    ({"variables": {"name": "a\x00b"}}, "variables"),
    ({"variables": {"name": 10**30}}, "variables"),
    ({"variables": {"name": "x" * 70_000}}, "variables"),
    ({"metadata": {"order": {"nested": 1}}}, "metadata"),
    ({"metadata": {"order": 1e25}}, "metadata"),
    ({"variables": {"name": [1e19]}}, "variables"),
    ({"expires_at": "1900000000"}, "expires_at"),
    ({"expires_at": "2030-12-01 08:00:00Z"}, "expires_at"),
    ({"scheduled_at": "2030-01-01T00:00:00"}, "scheduled_at"),
    ({"scheduled_at": 5}, "scheduled_at"),
    ({"scheduled_at": "2999-01-01T00:00:00Z"}, "scheduled_at"),
    ({"scheduled_at": "9999-12-31T23:59:59-12:00"}, "scheduled_at"),
    ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
    ({"language": "not a language"}, "language"),
    ({"content": {"subject": "a", "body": "b"}}, "body"),
    ({"to": {"email": "ann@example.com"}}, "body"),
    ({"idempotency_key": "ä"}, "idempotency_key"),
    ({"idempotency_key": "x" * 256}, "idempotency_key"),
]


async def test_what_is_wrong_is_named_and_nothing_written(gateway: Gateway) -> None:
    for changes, field in REFUSALS:
        answer = await gateway.post(gateway.a_request(**changes))
        assert answer.status_code == 422, (changes, answer.text)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert any(error["field"].startswith(field) for error in answer.json()["errors"]), answer.text
    assert await gateway.count("notifications") + await gateway.count("outbox") == 0


async def test_a_recipient_without_an_address_is_refused(gateway: Gateway) -> None:
    person = a_recipient(email=None)
    gateway.peers.recipients[person.id] = person
    answer = await gateway.post(gateway.a_request(user_id=str(person.id)))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "user_id")


async def test_a_key_without_the_scope_may_not_send(gateway: Gateway) -> None:
    key = gateway.peers.add_key(scopes=("notifications:read",))
    assert (await gateway.post(gateway.a_request(), Authorization=f"Bearer {key}")).status_code == 403
    assert (await gateway.post(gateway.a_request(), Authorization="Bearer ck_live_x")).status_code == 401


async def test_accepts_go_on_while_the_services_behind_are_away(gateway: Gateway) -> None:
    gateway.peers.away.add("template")
    assert (await gateway.post(gateway.a_request())).status_code == 202
    [order] = await gateway.released(1)
    assert isinstance(order.message, TemplateMessage) and order.message.version is None
    # The sender's own id of a person cannot be resolved without the user service; an id needs none.
    gateway.peers.away = {"user"}
    request = gateway.a_request(external_id="customer-1")
    request.pop("user_id")
    refused = await gateway.post(request)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] in ("1", "2", "3")
    assert (await gateway.post(gateway.a_request())).status_code == 202


async def test_accepts_go_on_while_the_services_behind_hang(gateway: Gateway) -> None:
    assert (await gateway.post(gateway.a_request())).status_code == 202
    gateway.peers.hung = {"user", "template"}
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(gateway.post(gateway.a_request()) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {202}


async def test_a_language_is_the_recipients_where_none_is_given(gateway: Gateway) -> None:
    person = a_recipient(language="fr")
    gateway.peers.recipients[person.id] = person
    await gateway.post(gateway.a_request(user_id=str(person.id)))
    [order] = await gateway.released(1)
    assert isinstance(order.message, TemplateMessage) and order.message.language == "fr"


async def test_a_template_of_another_channel_is_refused(gateway: Gateway) -> None:
    gateway.peers.templates["beep"] = a_template_version(code="beep", channel=Channel.PUSH)
    answer = await gateway.post(gateway.a_request(template_code="beep"))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "template_code")


async def test_what_is_scheduled_waits_and_goes_out_in_its_time(gateway: Gateway) -> None:
    person = a_recipient(language=None)
    gateway.peers.recipients[person.id] = person
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    answer = await gateway.post(gateway.a_request(user_id=str(person.id), scheduled_at=soon.isoformat()))
    assert answer.json()["status"] == "scheduled"
    # Pinned is what is published when it is released.
    gateway.peers.templates["order_shipped"] = a_template_version(version=2)
    assert await gateway.depth() == 0
    [order] = await gateway.released(1)
    assert datetime.now(UTC) >= soon
    assert isinstance(order.message, TemplateMessage) and order.message.version == 2

    async def is_queued() -> bool:
        detail = (await gateway.get(f"/{answer.json()['id']}")).json()
        return [entry["status"] for entry in detail["timeline"]] == ["scheduled", "queued"]

    await eventually(is_queued)


async def test_a_schedule_in_the_past_means_now(gateway: Gateway) -> None:
    answer = await gateway.post(gateway.a_request(scheduled_at="2001-01-01T00:00:00Z"))
    assert answer.json()["status"] == "accepted"
    assert len(await gateway.released(1)) == 1


async def test_a_bad_entry_of_a_shared_commit_hurts_nobody_else(gateway: Gateway) -> None:
    """Something that only PostgreSQL refuses, in the middle of a hundred that share a commit."""
    await gateway.sql("ALTER TABLE notifications ADD CONSTRAINT picky CHECK (external_id <> 'customer-1')")
    good = [gateway.a_request() for _ in range(100)]
    bad = gateway.a_request(external_id="customer-1")
    bad.pop("user_id")
    good.insert(50, bad)
    transport_errors = await asyncio.gather(*(gateway.post(body) for body in good), return_exceptions=True)
    statuses = [
        answer.status_code if not isinstance(answer, BaseException) else 500 for answer in transport_errors
    ]
    assert statuses.count(202) == 100
    assert statuses[50] == 500
    assert await gateway.count("notifications") == 100


async def test_what_a_crash_left_behind_is_released_by_the_sweep(
    gateway: Gateway, start_gateway: StartGateway
) -> None:
    """A process that dies between COMMIT and publish leaves just this: rows, and nothing in the broker."""
    ids = []
    for _ in range(20):
        ids.append((await gateway.post(gateway.a_request())).json()["id"])
    await gateway.released(20)
    await gateway.sql(
        """UPDATE outbox SET published_at = NULL, publish_count = 0, next_at = now() - interval '1 s'"""
    )
    orders = await gateway.released(20)
    assert sorted(str(order.notification_id) for order in orders) == sorted(ids)
