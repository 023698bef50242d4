"""An operator mends a failure: it is sent again, once, with changes if need be, or discarded."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import msgspec
import pytest

from shared.contracts.delivery import (
    DeliveryReported,
    DeliveryRequested,
    DeliveryState,
    TemplatePublished,
)
from tests.builders import a_delivery_report, a_template_version
from tests.integration.gateway.conftest import Gateway, eventually
from tests.integration.gateway.failing import SCOPES, ask, fail, failed, items
from tests.integration.gateway.scenes import Accounts, reaches


@pytest.fixture
def operated(gateway: Gateway) -> Gateway:
    """A gateway whose sender may deal with failures."""
    gateway.key = gateway.peers.add_key(scopes=SCOPES)
    return gateway


async def test_reprocessing_sends_it_again_in_a_new_run(operated: Gateway) -> None:
    [broken] = await failed(operated)
    [failure] = await items(operated)
    answer = await ask(operated, "POST", f"/{failure['id']}/reprocess")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["audit"][0]["act"]) == ("reprocessed", "reprocessed")
    [order] = await operated.released(1)
    assert (order.notification_id, order.run, order.message) == (broken.id, 2, broken.order.message)
    await operated.report(a_delivery_report(notification_id=broken.id, run=2))
    found = await reaches(operated, broken.id, "sent")
    assert not found["possible_duplicate"]
    assert await items(operated) == []


async def test_two_operators_at_once_send_it_once(operated: Gateway) -> None:
    await failed(operated)
    [failure] = await items(operated)
    answers = await asyncio.gather(*(ask(operated, "POST", f"/{failure['id']}/reprocess") for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 7]
    assert {answer.json()["type"] for answer in answers if answer.status_code == 409} == {
        "urn:carillon:problem:not_open"
    }
    assert len(await operated.sql("SELECT FROM outbox")) == 1
    assert len(await operated.sql("SELECT FROM operator_acts")) == 1


async def test_the_template_that_is_published_now_is_used(operated: Gateway) -> None:
    [broken] = await failed(operated)
    operated.peers.templates["order_shipped"] = a_template_version(version=2, required_variables=("name",))
    await operated.broker.broadcast(msgspec.json.encode(TemplatePublished(code="order_shipped")))

    async def is_known() -> bool:
        found = await operated.app.state.templates.released("order_shipped", "en")
        return bool(found.version == 2)

    await eventually(is_known)
    [failure] = await items(operated)
    await ask(operated, "POST", f"/{failure['id']}/reprocess")
    [order] = await operated.released(1)
    assert (order.message.version, broken.order.message.version) == (2, 1)  # type: ignore[union-attr]


async def test_changes_replace_address_template_and_variables(operated: Gateway) -> None:
    operated.peers.templates["other"] = a_template_version(code="other", required_variables=("order",))
    [broken] = await failed(operated)
    [failure] = await items(operated)
    changes = {"to": {"email": "new@example.com"}, "template_code": "other", "variables": {"order": "7"}}
    answer = await ask(operated, "POST", f"/{failure['id']}/reprocess", changes=changes)
    assert answer.status_code == 200, answer.text
    [order] = await operated.released(1)
    assert (order.address, order.message.code, order.message.variables) == (  # type: ignore[union-attr]
        "new@example.com", "other", {"order": "7"},
    )  # fmt: skip
    [act] = answer.json()["audit"]
    assert act["detail"] == "Changed: to, template_code, variables"
    assert (await operated.get(f"/{broken.id}")).json()["template_code"] == "other"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"template_code": "unknown"}, "changes.template_code"),
        ({"variables": {}}, "changes.variables.name"),
        ({"to": {"push": "a-token"}}, "changes.to"),
    ],
)
async def test_changes_that_do_not_fit_change_nothing(
    operated: Gateway, changes: dict[str, object], field: str
) -> None:
    await failed(operated)
    [failure] = await items(operated)
    answer = await ask(operated, "POST", f"/{failure['id']}/reprocess", changes=changes)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert [item["id"] for item in await items(operated)] == [failure["id"]]
    assert await operated.sql("SELECT FROM outbox") == []


async def half_sent(gateway: Gateway) -> DeliveryRequested:
    """Her phone took it, her tablet failed."""
    await gateway.post(gateway.a_request())
    [order] = await gateway.released(1)
    await gateway.report(a_delivery_report(notification_id=order.notification_id, target="phone", targets=2))
    await fail(gateway, order, target="tablet", targets=2)
    await reaches(gateway, order.notification_id, "sent")
    await eventually(lambda: _closed(gateway))
    return order


async def reprocess_the_one(gateway: Gateway, changes: dict[str, object] | None = None) -> httpx.Response:
    """The only failure that is open."""
    [failure] = await items(gateway)
    return await ask(gateway, "POST", f"/{failure['id']}/reprocess", changes=changes)


def a_deferral(order: DeliveryRequested, **changes: object) -> DeliveryReported:
    """Until now: the next run is due at once."""
    return a_delivery_report(
        **{
            "notification_id": order.notification_id,
            "run": order.run,
            "state": DeliveryState.DEFERRED,
            "deferred_until": datetime.now(UTC),
            "provider_message_id": None,
            "attempts": (),
            **changes,
        }
    )


async def test_a_device_that_was_reached_is_left_out_run_after_run(operated: Gateway) -> None:
    first = await half_sent(operated)
    assert (await reprocess_the_one(operated)).status_code == 200
    [second] = await operated.released(1)
    assert (second.run, second.except_targets) == (2, ("phone",))
    assert (await operated.get(f"/{first.notification_id}")).json()["status"] == "sent"
    # Quiet hours have begun: the tablet is not forgotten.
    await operated.report(a_deferral(second, target="-"))
    [third] = await operated.released(1)
    assert (third.run, third.except_targets) == (3, ("phone",))
    await fail(operated, third, target="tablet")
    await eventually(lambda: _closed(operated))
    assert (await operated.get(f"/{first.notification_id}")).json()["status"] == "sent"
    assert len(await items(operated)) == 1


async def test_a_device_that_waits_while_another_took_it_gets_a_run_of_its_own(
    operated: Gateway,
) -> None:
    await operated.post(operated.a_request())
    [order] = await operated.released(1)
    await operated.report(
        a_delivery_report(notification_id=order.notification_id, target="phone", targets=2),
        a_deferral(order, target="tablet", targets=2),
    )
    [again] = await operated.released(1)
    assert (again.run, again.except_targets) == (2, ("phone",))
    assert (await operated.get(f"/{order.notification_id}")).json()["status"] == "sent"


async def test_a_device_whose_failure_was_discarded_is_never_sent_to(operated: Gateway) -> None:
    await operated.post(operated.a_request())
    [order] = await operated.released(1)
    for target in ("phone", "tablet"):
        await fail(operated, order, target=target, targets=2)
    await reaches(operated, order.notification_id, "failed")
    stolen = next(item for item in await items(operated) if item["target"] == "phone")
    changed = await ask(
        operated, "POST", f"/{stolen['id']}/reprocess", changes={"to": {"email": "new@example.com"}}
    )
    assert changed.json()["type"] == "urn:carillon:problem:others_failed_too"
    await ask(operated, "POST", f"/{stolen['id']}/discard", reason="Stolen")
    assert (await operated.get(f"/{order.notification_id}")).json()["status"] == "failed"
    assert (await reprocess_the_one(operated)).status_code == 200
    [again] = await operated.released(1)
    assert again.except_targets == ("phone",)


async def test_a_new_address_takes_the_place_of_all_there_were(operated: Gateway) -> None:
    await half_sent(operated)
    answer = await reprocess_the_one(operated, changes={"to": {"email": "new@example.com"}})
    assert answer.status_code == 200
    [again] = await operated.released(1)
    assert (again.address, again.except_targets) == ("new@example.com", ())


async def test_a_failure_that_was_taken_after_all_is_closed(operated: Gateway) -> None:
    [broken] = await failed(operated)
    late = a_delivery_report(notification_id=broken.id, attempt=1)
    await operated.report(late)
    await reaches(operated, broken.id, "sent")
    assert await items(operated) == []


async def test_what_the_broker_gave_up_by_itself_is_published_again(operated: Gateway) -> None:
    await operated.post(operated.a_request())
    [order] = await operated.released(1)
    await operated.park(msgspec.json.encode(order))
    [again] = await operated.released(1)
    assert again == order
    assert await operated.count("failed") == 0


async def test_while_another_device_is_in_work_nothing_is_sent_again(operated: Gateway) -> None:
    await operated.post(operated.a_request())
    [order] = await operated.released(1)
    await fail(operated, order, target="tablet", targets=2)
    await eventually(lambda: _parked(operated, 1))
    [failure] = await items(operated)
    for act, body in (("reprocess", {}), ("discard", {"reason": "no"})):
        answer = await ask(operated, "POST", f"/{failure['id']}/{act}", **body)
        assert answer.json()["type"] == "urn:carillon:problem:still_in_progress"


async def test_a_doubt_about_another_device_is_settled_first(operated: Gateway) -> None:
    await operated.post(operated.a_request())
    [order] = await operated.released(1)
    doubt = a_delivery_report(
        notification_id=order.notification_id, target="phone", targets=2, state=DeliveryState.UNKNOWN
    )
    await operated.report(doubt)
    await fail(operated, order, target="tablet", targets=2)
    await reaches(operated, order.notification_id, "unknown")
    [failure] = await items(operated)
    answer = await ask(operated, "POST", f"/{failure['id']}/reprocess")
    assert answer.json()["type"] == "urn:carillon:problem:doubt_first"
    resolved = await operated.http.post(
        f"/api/v1/notifications/{order.notification_id}/resolve",
        json={"outcome": "resend"},
        headers={"Authorization": f"Bearer {operated.key}"},
    )
    assert resolved.status_code == 200
    assert await items(operated) == []  # the new run sends to both


async def test_what_has_expired_is_not_sent_again(operated: Gateway) -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    [broken] = await failed(operated, expires_at=f"{expires_at:%Y-%m-%dT%H:%M:%SZ}")
    await operated.sql("UPDATE notifications SET expires_at = now() WHERE id = $1", broken.id)
    [failure] = await items(operated)
    answer = await ask(operated, "POST", f"/{failure['id']}/reprocess")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:carillon:problem:notification_expired")


async def test_discarding_keeps_the_reason_and_never_sends(operated: Gateway) -> None:
    [broken] = await failed(operated)
    [failure] = await items(operated)
    answer = await ask(operated, "POST", f"/{failure['id']}/discard", reason="Cancelled by telephone")
    assert answer.status_code == 200, answer.text
    assert [(act["act"], act["detail"]) for act in answer.json()["audit"]] == [
        ("discarded", "Cancelled by telephone")
    ]
    await reaches(operated, broken.id, "discarded")
    again = await ask(operated, "POST", f"/{failure['id']}/reprocess")
    assert again.status_code == 409
    assert await operated.sql("SELECT FROM outbox") == []


async def test_what_nobody_can_read_can_be_discarded_only(operated: Gateway) -> None:
    await operated.park(b"not a message")
    await eventually(lambda: _parked(operated, 1))
    [row] = await operated.sql("SELECT id FROM failed")
    operated.app.state.access = Accounts(operated.app.state.access)
    as_admin = f"admin:{uuid4()}"
    answer = await ask(operated, "POST", f"/{row['id']}/reprocess", as_=as_admin)
    assert answer.json()["type"] == "urn:carillon:problem:not_reprocessable"
    answer = await ask(operated, "POST", f"/{row['id']}/discard", as_=as_admin, reason="Noise")
    assert answer.status_code == 200


async def _parked(gateway: Gateway, count: int) -> bool:
    return await gateway.count("failed") == count


async def _closed(gateway: Gateway) -> bool:
    return await gateway.count("outbox") == 0
