"""What the channels report: in any order, twice, late, or not readable."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec

from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import (
    DeliveriesReported,
    DeliveryParked,
    DeliveryReported,
    DeliveryRequested,
    DeliveryState,
    InlineMessage,
    Problem,
)
from tests.builders import a_delivery_report
from tests.integration.gateway.conftest import Gateway, eventually
from tests.integration.gateway.scenes import accepted, reaches, settled

S = DeliveryState


async def test_sent_closes_the_outbox_and_tells_the_ledger(gateway: Gateway) -> None:
    identifier = await accepted(gateway)
    await gateway.report(a_delivery_report(notification_id=identifier))
    detail = await reaches(gateway, identifier, "sent")
    assert [entry["status"] for entry in detail["timeline"]] == ["accepted", "queued", "sent"]
    [attempt] = detail["attempts"]
    assert (attempt["number"], attempt["provider"], attempt["outcome"], attempt["target"]) == (
        1, "smtp", "accepted", "address",
    )  # fmt: skip
    assert (detail["error"], await gateway.count("outbox")) == (None, 0)

    async def has_receipt() -> bool:
        return identifier in gateway.peers.receipts

    await eventually(has_receipt)


async def test_late_and_repeated_reports_change_nothing(gateway: Gateway) -> None:
    identifier = await accepted(gateway)
    retrying = a_delivery_report(
        notification_id=identifier,
        state=S.RETRYING,
        problem=Problem(kind="provider.refused", message="Try later"),
    )
    sent = a_delivery_report(notification_id=identifier, attempt=2)
    await gateway.report(sent)
    await reaches(gateway, identifier, "sent")
    await gateway.report(retrying, sent, msgspec.structs.replace(sent, state=S.SENDING))
    await settled(gateway)
    detail = await reaches(gateway, identifier, "sent")
    assert detail["error"] is None
    assert len(await gateway.sql("SELECT 1 FROM targets WHERE notification_id = $1", identifier)) == 1


async def test_many_reports_of_many_gateways_meet_without_deadlock(gateway: Gateway) -> None:
    ids = [UUID((await gateway.post(gateway.a_request())).json()["id"]) for _ in range(60)]
    states = (S.SENDING, S.RETRYING, S.SENT)
    reports = [a_delivery_report(notification_id=key, state=state) for state in states for key in ids]
    await asyncio.gather(gateway.report(*reports), gateway.report(*reversed(reports)))

    async def all_sent() -> bool:
        rows = await gateway.sql("SELECT count(*) AS n FROM notifications WHERE status = 'sent'")
        return rows[0]["n"] == 60 and await gateway.count("outbox") == 0

    await eventually(all_sent)


async def test_several_devices_are_one_notification(gateway: Gateway) -> None:
    identifier = await accepted(gateway)

    def a_device(name: str, state: DeliveryState) -> DeliveryReported:
        return a_delivery_report(
            notification_id=identifier,
            target=name,
            targets=2,
            state=state,
            problem=Problem(kind="device.gone", message="Unregistered") if state is S.FAILED else None,
        )

    await gateway.report(a_device("one", S.SENT))
    await reaches(gateway, identifier, "sent")
    assert await gateway.count("outbox") == 1
    await gateway.report(a_device("two", S.FAILED))

    async def is_closed() -> bool:
        return await gateway.count("outbox") == 0

    await eventually(is_closed)
    detail = await reaches(gateway, identifier, "sent")
    assert {attempt["target"] for attempt in detail["attempts"]} == {"one", "two"}


async def test_a_deferral_opens_the_next_run_at_its_time(gateway: Gateway) -> None:
    identifier = await accepted(gateway)
    until = datetime.now(UTC) + timedelta(seconds=1)
    deferred = a_delivery_report(
        notification_id=identifier,
        state=S.DEFERRED,
        attempt=0,
        attempts=(),
        deferred_until=until,
        problem=Problem(kind="recipient.quiet_hours", message="Quiet hours"),
    )
    await gateway.report(deferred, deferred)
    await reaches(gateway, identifier, "deferred")
    await gateway.report(deferred)
    [order] = await gateway.released(1)
    assert (order.notification_id, order.run) == (identifier, 2)
    assert datetime.now(UTC) >= until
    await gateway.report(a_delivery_report(notification_id=identifier, run=2))
    detail = await reaches(gateway, identifier, "sent")
    assert [entry["status"] for entry in detail["timeline"]] == [
        "accepted", "queued", "deferred", "queued", "sent",
    ]  # fmt: skip
    assert await gateway.count("outbox") == 0


async def test_a_doubt_is_shown_and_settled_by_evidence(gateway: Gateway) -> None:
    identifier = await accepted(gateway)
    doubt = a_delivery_report(
        notification_id=identifier,
        state=S.UNKNOWN,
        problem=Problem(kind="provider.timeout", message="No answer"),
    )
    await gateway.report(doubt)
    assert (await reaches(gateway, identifier, "unknown"))["error"] == "No answer"
    await gateway.report(msgspec.structs.replace(doubt, state=S.SENT, problem=None, possible_duplicate=True))
    detail = await reaches(gateway, identifier, "sent")
    assert (detail["error"], detail["possible_duplicate"]) == (None, True)


def a_parked_message(identifier: UUID, **changes: object) -> DeliveryParked:
    report = a_delivery_report(
        notification_id=identifier,
        state=S.FAILED,
        problem=Problem(kind="provider.rejected", message="No such mailbox"),
        **changes,
    )
    request = DeliveryRequested(
        notification_id=identifier,
        run=1,
        channel=Channel.EMAIL,
        lane=Lane.NORMAL,
        category="transactional",
        priority=5,
        user_id=None,
        address="ann@example.com",
        message=InlineMessage(subject="Hi", body="There"),
        correlation_id="test",
        created_at=datetime.now(UTC),
        expires_at=None,
        test=False,
    )
    return DeliveryParked(report=report, request=request, stack="Traceback …")


async def test_a_failure_is_parked_once_with_everything(gateway: Gateway) -> None:
    identifier = await accepted(gateway)
    body = msgspec.json.encode(a_parked_message(identifier))
    await gateway.park(body)
    await gateway.park(body)
    detail = await reaches(gateway, identifier, "failed")
    assert (detail["error"], detail["error_type"]) == ("No such mailbox", "provider.rejected")
    await gateway.park(body)
    await settled(gateway)
    [row] = await gateway.sql("SELECT * FROM failed")
    assert (row["notification_id"], row["target"], row["run"], row["status"]) == (
        identifier, "address", 1, "open",
    )  # fmt: skip
    assert row["request"]["address"] == "ann@example.com"
    assert (len(row["history"]), row["stack"]) == (1, "Traceback …")
    assert await gateway.count("outbox") == 0

    async def has_receipt() -> bool:
        return identifier in gateway.peers.receipts

    await eventually(has_receipt)


async def test_any_number_of_unreadable_messages_stands_in_nobodys_way(gateway: Gateway) -> None:
    for number in range(60):
        await gateway.park(b'{"type":"delivery.parked.v1","stack":"\xff %d"}' % number)
    identifier = await accepted(gateway)

    await gateway.park(msgspec.json.encode(a_parked_message(identifier)))

    await reaches(gateway, identifier, "failed")
    assert await gateway.count("failed") == 61


async def test_what_cannot_be_read_is_kept_with_its_bytes(gateway: Gateway) -> None:
    await gateway.park(b"\xff\x00 nonsense")
    await gateway.park(b"\xff\x00 nonsense")
    await gateway.report(Problem(kind="not a report", message="at all"))

    async def are_kept() -> bool:
        return await gateway.count("failed") == 2

    await eventually(are_kept)
    rows = await gateway.sql("SELECT raw, error_kind, notification_id FROM failed ORDER BY id")
    assert b"\xff\x00 nonsense" in {bytes(row["raw"]) for row in rows}
    assert {(row["error_kind"], row["notification_id"]) for row in rows} == {("message.undecodable", None)}


async def test_an_order_that_the_broker_gave_up_by_itself_is_released_again_and_is_no_failure(
    gateway: Gateway,
) -> None:
    await gateway.post(gateway.a_request())
    (order,) = await gateway.released(1)

    await gateway.park(msgspec.json.encode(order))

    (again,) = await gateway.released(1)
    assert (again.notification_id, again.run) == (order.notification_id, order.run)
    assert await gateway.count("failed") == 0
    # Once its run is over, a late one releases nothing.
    await gateway.report(a_delivery_report(notification_id=order.notification_id))
    await reaches(gateway, order.notification_id, "sent")
    await gateway.park(msgspec.json.encode(order))
    await gateway.park(b"the end of the queue")

    async def is_through() -> bool:
        return await gateway.count("failed") == 1

    await eventually(is_through)
    assert await gateway.depth() == 0


async def test_a_report_that_postgresql_refuses_sinks_no_other(gateway: Gateway) -> None:
    identifier, other = await accepted(gateway), await accepted(gateway)
    bad = a_delivery_report(notification_id=other, target="nul \x00")
    good = a_delivery_report(notification_id=identifier)
    await gateway.report(DeliveriesReported(reports=(bad, good)))
    await reaches(gateway, identifier, "sent")

    async def is_kept() -> bool:
        return await gateway.count("failed") == 1

    await eventually(is_kept)
    [row] = await gateway.sql("SELECT raw FROM failed")
    assert msgspec.json.decode(row["raw"], type=DeliveriesReported).reports == (bad,)


async def test_reports_of_what_is_gone_are_received(gateway: Gateway) -> None:
    stranger = uuid4()
    await gateway.report(a_delivery_report(notification_id=stranger))

    async def has_receipt() -> bool:
        return stranger in gateway.peers.receipts

    await eventually(has_receipt)
    assert await gateway.count("targets") == 0
