"""An operator settles what may or may not have gone out."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from shared.contracts.channels import Lane
from shared.contracts.delivery import Attempt, DeliveryReported, DeliveryState, Problem
from tests.builders import a_delivery_report
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.scenes import Accounts, accepted, ask, reaches, settled

SCOPES = ("notifications:send", "notifications:read", "failed:write")
SILENCE = Problem(kind="provider.timeout", message="No answer after the body")


def a_doubt(identifier: UUID, **changes: object) -> DeliveryReported:
    """What a channel reports of a call that was never answered."""
    attempt = Attempt(
        number=1,
        provider="smtp",
        outcome="unknown",
        problem=SILENCE,
        started_at=datetime.now(UTC),
        duration_ms=10_000,
    )
    return a_delivery_report(
        notification_id=identifier,
        state=DeliveryState.UNKNOWN,
        problem=SILENCE,
        attempts=(attempt,),
        provider_message_id=None,
        **changes,
    )


@pytest.fixture
def operated(gateway: Gateway) -> Gateway:
    """A gateway whose sender may settle what is in doubt."""
    gateway.key = gateway.peers.add_key(scopes=SCOPES)
    return gateway


async def unknown(gateway: Gateway, **changes: object) -> UUID:
    """A notification in doubt."""
    identifier = await accepted(gateway, **changes)
    await gateway.report(a_doubt(identifier))
    await reaches(gateway, identifier, "unknown")
    return identifier


async def resolve(
    gateway: Gateway, identifier: UUID, outcome: str, *, as_: str | None = None
) -> httpx.Response:
    return await ask(gateway, "POST", f"/{identifier}/resolve", as_=as_ or gateway.key, outcome=outcome)


async def resolve_all(gateway: Gateway, outcome: str, **body: object) -> httpx.Response:
    return await ask(gateway, "POST", "/resolve", as_=gateway.key, outcome=outcome, **body)


async def test_a_doubt_is_listed_with_its_evidence(operated: Gateway) -> None:
    identifier = await unknown(operated)
    await accepted(operated)
    [item] = (await operated.get("?status=unknown")).json()["items"]
    assert (item["id"], item["error"], item["error_type"]) == (
        str(identifier), SILENCE.message, SILENCE.kind,
    )  # fmt: skip
    [attempt] = (await operated.get(f"/{identifier}")).json()["attempts"]
    assert (attempt["outcome"], attempt["error"], attempt["provider"]) == (
        "unknown", SILENCE.message, "smtp",
    )  # fmt: skip


async def test_settled_as_sent_no_repeated_doubt_takes_it_back(operated: Gateway) -> None:
    identifier = await unknown(operated)
    answer = await resolve(operated, identifier, "sent")
    assert (answer.status_code, answer.json()["status"], answer.json()["error"]) == (200, "sent", None)
    await operated.report(a_doubt(identifier), a_doubt(identifier, attempt=2))
    await settled(operated)
    detail = (await operated.get(f"/{identifier}")).json()
    assert (detail["status"], detail["error"], detail["error_type"]) == ("sent", None, None)
    assert [entry["status"] for entry in detail["timeline"]] == ["accepted", "queued", "unknown", "sent"]
    [key] = [known for known in operated.peers.keys.values() if "failed:write" in known.scopes]
    assert detail["timeline"][-1]["detail"] == f"Settled as sent by API key {key.key_id}"
    assert await operated.count("outbox") == 0


async def test_sent_again_it_is_one_more_run_and_says_so(operated: Gateway) -> None:
    identifier = await unknown(operated)
    answer = (await resolve(operated, identifier, "resend")).json()
    assert (answer["status"], answer["possible_duplicate"], answer["error"]) == ("accepted", True, None)
    [order] = await operated.released(1)
    assert (order.notification_id, order.run) == (identifier, 2)
    # The first run was taken after all: that is evidence, and the second run is under way all the same.
    await operated.report(a_delivery_report(notification_id=identifier))
    await settled(operated)
    detail = (await operated.get(f"/{identifier}")).json()
    assert detail["status"] in {"accepted", "queued"}
    assert [(one["run"], one["outcome"]) for one in detail["attempts"]] == [(1, "accepted")]
    assert await operated.count("outbox") == 1
    await operated.report(a_delivery_report(notification_id=identifier, run=2))
    detail = await reaches(operated, identifier, "sent")
    assert detail["possible_duplicate"] is True
    assert [one["run"] for one in detail["attempts"]] == [1, 2]
    assert await operated.count("outbox") == 0


async def test_of_ten_who_settle_at_once_one_has_an_effect(operated: Gateway) -> None:
    identifier = await unknown(operated)
    answers = await asyncio.gather(*(resolve(operated, identifier, "resend") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    assert {answer.json()["type"] for answer in answers if answer.status_code == 409} == {
        "urn:carillon:problem:not_unknown"
    }
    assert [order.run for order in await operated.released(1)] == [2]
    assert await operated.depth() == 0


async def test_what_has_expired_is_not_sent_again_and_keeps_its_doubt(operated: Gateway) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    identifier = await unknown(operated, expires_at=soon)
    await operated.sql("UPDATE notifications SET expires_at = now() - interval '1 s'")
    answer = await resolve(operated, identifier, "resend")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:carillon:problem:notification_expired")
    everything = {"created_before": "2999-01-01T00:00:00Z"}
    bulk = (await resolve_all(operated, "resend", filter=everything)).json()
    assert (bulk["resolved"], bulk["remaining"], bulk["expired"]) == (0, 0, 1)
    assert (await operated.get(f"/{identifier}")).json()["status"] == "unknown"
    assert (await resolve_all(operated, "sent", filter=everything)).json()["resolved"] == 1


async def test_only_operators_settle_and_keys_only_what_their_owner_sent(operated: Gateway) -> None:
    identifier = await unknown(operated)
    stranger = operated.peers.add_key(scopes=SCOPES)
    assert (await resolve(operated, identifier, "sent", as_=stranger)).status_code == 404
    reader = operated.peers.add_key(scopes=("notifications:send", "notifications:read"))
    assert (await resolve(operated, identifier, "sent", as_=reader)).status_code == 403
    filtered = {"filter": {"category": "transactional"}, "outcome": "sent"}
    assert (await ask(operated, "POST", "/resolve", as_=stranger, **filtered)).json()["resolved"] == 0
    assert (await ask(operated, "POST", "/resolve", as_=reader, **filtered)).status_code == 403
    assert (await resolve(operated, uuid4(), "sent")).status_code == 404
    assert (await resolve(operated, identifier, "delivered")).status_code == 422
    operated.app.state.access = Accounts(operated.app.state.access)
    operator = uuid4()
    assert (await resolve(operated, identifier, "sent", as_=f"user:{operator}")).status_code == 403
    answer = await resolve(operated, identifier, "sent", as_=f"operator:{operator}")
    assert answer.json()["timeline"][-1]["detail"] == f"Settled as sent by account {operator}"


async def test_many_are_settled_in_parts_and_each_once(operated: Gateway) -> None:
    """More than fit into a transaction; two operators at once, and one that was not meant."""
    await many_unknown(operated, 1_200)
    other = await unknown(operated, category="security")
    chosen = {"category": "transactional"}
    first = (await resolve_all(operated, "resend", filter=chosen, limit=700)).json()
    assert first == {"outcome": "resend", "resolved": 700, "remaining": 500, "expired": 0}
    answers = await asyncio.gather(*(resolve_all(operated, "resend", filter=chosen) for _ in range(2)))
    assert sum(answer.json()["resolved"] for answer in answers) == 500
    again = (await resolve_all(operated, "resend", filter=chosen)).json()
    assert (again["resolved"], again["remaining"]) == (0, 0)
    orders = await operated.released(1_200)
    assert len({order.notification_id for order in orders}) == 1_200
    assert {order.run for order in orders} == {2}
    assert await operated.depth() + await operated.depth(lane=Lane.BULK) == 0
    assert (await operated.get(f"/{other}")).json()["status"] == "unknown"


async def many_unknown(gateway: Gateway, count: int) -> None:
    """Copies of one in doubt, as if each had come by itself."""
    identifier = await unknown(gateway)
    [columns] = await gateway.sql(
        """
        SELECT string_agg(attname, ', ') AS names FROM pg_attribute
        WHERE attrelid = 'notifications'::regclass AND attnum > 0 AND attname <> 'id'
        """
    )
    await gateway.sql(
        f"""
        INSERT INTO notifications (id, {columns["names"]})
        SELECT uuidv7(), {columns["names"]} FROM notifications, generate_series(2, $2::int) WHERE id = $1
        """,
        identifier,
        count,
    )


async def test_a_filter_that_names_nothing_settles_nothing(operated: Gateway) -> None:
    identifier = await unknown(operated)
    for filter_ in ({}, {"category": None}, {"status": "unknown"}, {"colour": "red"}):
        assert (await resolve_all(operated, "sent", filter=filter_)).status_code == 422, filter_
    for limit in (0, 10_001):
        body = {"filter": {"category": "transactional"}, "limit": limit}
        assert (await resolve_all(operated, "sent", **body)).status_code == 422
    assert (await resolve_all(operated, "sent")).status_code == 422
    assert (await operated.get(f"/{identifier}")).json()["status"] == "unknown"


async def test_every_field_of_the_filter_narrows_it(operated: Gateway) -> None:
    identifier = await unknown(operated)
    created = (await operated.get(f"/{identifier}")).json()["created_at"]
    elsewhere = {
        "user_id": str(uuid4()),
        "batch_id": str(uuid4()),
        "event_id": "another",
        "template_code": "another",
        "notification_type": "push",
        "created_before": created,
        "created_after": "2999-01-01T00:00:00Z",
    }
    for field, value in elsewhere.items():
        narrow = {"category": "transactional", field: value}
        assert (await resolve_all(operated, "sent", filter=narrow)).json()["resolved"] == 0, field
    wide = {"created_after": created, "notification_type": "email", "template_code": "order_shipped"}
    assert (await resolve_all(operated, "sent", filter=wide)).json()["resolved"] == 1


async def test_a_second_run_that_is_kept_back_does_not_deny_what_the_first_has_sent(
    operated: Gateway,
) -> None:
    identifier = await unknown(operated)
    await resolve(operated, identifier, "resend")
    await operated.report(a_delivery_report(notification_id=identifier))
    await settled(operated)

    await operated.report(
        a_delivery_report(
            notification_id=identifier,
            run=2,
            state=DeliveryState.SUPPRESSED,
            problem=Problem(kind="recipient.opted_out", message="Switched off"),
            attempts=(),
        )
    )

    detail = await reaches(operated, identifier, "sent")
    assert detail["error"] is None
    assert await operated.count("outbox") == 0
