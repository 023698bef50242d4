"""Releases of which nothing more is heard: ledger and broker are asked before anything is sent again."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg

from gateway_service.messaging.sentinel import Sentinel
from shared.broker.topology import SENTINEL_QUEUE
from tests.builders import a_delivery_report
from tests.integration.gateway.conftest import Gateway, StartGateway, eventually


async def published(gateway: Gateway) -> UUID:
    """A notification that the gateway knows to be with the broker."""
    identifier = UUID((await gateway.post(gateway.a_request())).json()["id"])

    async def is_marked() -> bool:
        rows = await gateway.sql("SELECT published_at FROM outbox WHERE notification_id = $1", identifier)
        return rows[0]["published_at"] is not None

    await eventually(is_marked)
    return identifier


async def make_overdue(gateway: Gateway) -> None:
    await gateway.sql("UPDATE outbox SET next_at = now() - interval '1 s' WHERE published_at IS NOT NULL")


async def test_what_the_ledger_knows_is_taken_over(gateway: Gateway) -> None:
    """The report itself was lost."""
    identifier = await published(gateway)
    gateway.peers.reports[identifier, 1] = (a_delivery_report(notification_id=identifier),)
    await make_overdue(gateway)

    async def is_sent() -> bool:
        return bool((await gateway.get(f"/{identifier}")).json()["status"] == "sent")

    await eventually(is_sent)
    assert await gateway.count("outbox") == 0
    assert await gateway.depth() == 1


async def test_what_neither_ledger_nor_lane_has_is_published_again(gateway: Gateway) -> None:
    identifier = await published(gateway)
    await gateway.released(1)
    await make_overdue(gateway)
    [order] = await gateway.released(1)
    assert (order.notification_id, order.run) == (identifier, 1)


async def test_what_waits_in_its_lane_is_left_there(gateway: Gateway) -> None:
    await published(gateway)
    await make_overdue(gateway)

    async def was_asked() -> bool:
        rows = await gateway.sql("SELECT asked_count FROM outbox")
        return bool(rows[0]["asked_count"] == 1)

    await eventually(was_asked)
    assert await gateway.depth() == 1
    [row] = await gateway.sql("SELECT published_at, next_at > now() + interval '50 s' AS later FROM outbox")
    assert row["published_at"] is not None and row["later"]


async def test_an_absent_ledger_is_asked_again_and_nothing_sent_twice(gateway: Gateway) -> None:
    await published(gateway)
    await gateway.released(1)
    gateway.peers.away.add("email")
    await make_overdue(gateway)

    async def was_asked() -> bool:
        return bool((await gateway.sql("SELECT asked_count FROM outbox"))[0]["asked_count"])

    await eventually(was_asked)
    assert await gateway.depth() == 0


async def test_a_wiped_broker_loses_nothing(gateway: Gateway, second_database_url: str) -> None:
    """Everything published and unknown to the ledger goes out again; what the ledger knows does not."""
    known, lost = await published(gateway), await published(gateway)
    gateway.peers.reports[known, 1] = (a_delivery_report(notification_id=known),)

    async def has_sentinel() -> bool:
        return await gateway.count("broker_epoch") == 1

    await eventually(has_sentinel)
    await wipe(second_database_url)
    await Sentinel(gateway.database, gateway.broker).look()
    [order] = await gateway.released(1)
    assert order.notification_id == lost

    async def is_sent() -> bool:
        return bool((await gateway.get(f"/{known}")).json()["status"] == "sent")

    await eventually(is_sent)
    assert await gateway.depth() == 0


async def wipe(broker_url: str) -> None:
    """What a lost disk does to the PostgreSQL broker."""
    connection: Any = await asyncpg.connect(broker_url)
    await connection.execute("TRUNCATE broker.messages")
    await connection.close()


async def test_gateways_agree_on_one_sentinel(start_gateway: StartGateway) -> None:
    first, second = await start_gateway(), await start_gateway()

    async def agree() -> bool:
        rows = await first.sql("SELECT epoch FROM broker_epoch")
        return bool(rows) and rows[0]["epoch"] == await second.broker.epoch()

    await eventually(agree)
    assert (await first.broker.queue_state(SENTINEL_QUEUE)).depth <= 1
    await first.broker.write_epoch(str(uuid4()))
    assert await agree()
