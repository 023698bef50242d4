"""What waits for its time: released once by whoever is there, also late, or taken back for good."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shared.contracts.channels import Lane
from shared.contracts.delivery import DeliveryReported, DeliveryState, Problem
from tests.builders import a_delivery_report
from tests.fakes.peers import FakePeers
from tests.integration.gateway.conftest import Gateway, StartGateway, eventually, running_gateway
from tests.integration.gateway.scenes import LATER, accepted, ask, reaches, settled

TRANSPORTS = ["postgres", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)]
DUE = 1_200
"""More than two sweeps take at once, so that two gateways are at it together."""


@pytest.fixture(params=TRANSPORTS)
async def broker_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A broker of each kind, empty."""
    kind = {"postgres": "second_database_url", "rabbitmq": "fresh_amqp_url"}[request.param]
    yield request.getfixturevalue(kind)


async def scheduled(gateway: Gateway, count: int) -> list[UUID]:
    """Accepted for a day that does not come by itself."""
    ids: list[UUID] = []
    for first in range(0, count, 1_000):
        entries = [gateway.a_request(scheduled_at=LATER) for _ in range(min(1_000, count - first))]
        answer = await ask(gateway, "POST", "/batch", as_=gateway.key, notifications=entries)
        ids += [UUID(result["id"]) for result in answer.json()["results"]]
    return ids


async def test_what_fell_due_while_nobody_ran_goes_out_once_though_two_gateways_come_back(
    migrated_url: str, broker_url: str, peers: FakePeers
) -> None:
    async with running_gateway(migrated_url, broker_url, peers) as gateway:
        ids = await scheduled(gateway, DUE)
        assert await gateway.depth(lane=Lane.BULK) == 0
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(
            running_gateway(migrated_url, broker_url, peers, sweep_interval_s=60)
        )
        await first.sql("UPDATE outbox SET due_at = now() - interval '1 h', next_at = now() - interval '1 h'")
        for _ in range(2):
            await stack.enter_async_context(
                running_gateway(migrated_url, broker_url, peers, sweep_interval_s=0.05)
            )
        orders = await first.released(DUE, lane=Lane.BULK)
        assert {order.notification_id for order in orders} == set(ids)
        assert {order.run for order in orders} == {1}

        async def are_noted() -> bool:
            rows = await first.sql("SELECT status, count(*) AS n FROM notifications GROUP BY status")
            return {row["status"]: row["n"] for row in rows} == {"queued": DUE}

        await eventually(are_noted)
        assert await first.depth(lane=Lane.BULK) == 0
        [row] = await first.sql("SELECT min(publish_count) AS least, max(publish_count) AS most FROM outbox")
        assert (row["least"], row["most"]) == (1, 1)


async def test_a_cancel_that_races_the_release_wins_or_loses_cleanly(start_gateway: StartGateway) -> None:
    """Whatever is cancelled never goes out, and whatever is not does, once: two hundred times, each becoming
    due at the moment of its cancelling, with two gateways that look for what is due."""
    gateway, other = await start_gateway(sweep_interval_s=0.01), await start_gateway(sweep_interval_s=0.01)

    async def broker_is_known() -> bool:
        return await gateway.count("broker_epoch") == 1

    # What was published before the broker's sentinel was seen for the first time is asked about once.
    await eventually(broker_is_known)
    in_time, *ids = await scheduled(gateway, 201)

    async def cancel(identifier: UUID, through: Gateway) -> bool:
        answer = await ask(through, "POST", f"/{identifier}/cancel", as_=gateway.key)
        assert answer.status_code in {200, 409}, answer.text
        return answer.status_code == 200

    async def become_due(identifier: UUID) -> None:
        await asyncio.sleep(random.uniform(0, 0.02))
        await gateway.sql("UPDATE outbox SET next_at = now() WHERE notification_id = $1", identifier)

    async def race(identifier: UUID) -> bool:
        _, *won = await asyncio.gather(
            become_due(identifier), cancel(identifier, gateway), cancel(identifier, other)
        )
        assert sum(won) < 2, "cancelled twice"
        return any(won)

    assert await cancel(in_time, gateway)
    cancelled: set[UUID] = set()
    for first in range(0, len(ids), 10):
        some = ids[first : first + 10]
        results = await asyncio.gather(*(race(identifier) for identifier in some))
        cancelled |= {identifier for identifier, won in zip(some, results, strict=True) if won}
    late = await scheduled(gateway, 1)
    await gateway.sql("UPDATE outbox SET next_at = now() WHERE notification_id = $1", late[0])
    expected = {*ids, *late} - cancelled
    orders = await gateway.released(len(expected), lane=Lane.BULK)
    assert {order.notification_id for order in orders} == expected
    assert not await cancel(late[0], gateway)

    async def are_noted() -> bool:
        rows = await gateway.sql("SELECT id, status FROM notifications")
        return {row["id"]: row["status"] for row in rows} == {
            **dict.fromkeys(expected, "queued"),
            **dict.fromkeys(cancelled | {in_time}, "cancelled"),
        }

    await eventually(are_noted)
    assert await gateway.depth(lane=Lane.BULK) == 0
    assert {row["notification_id"] for row in await gateway.sql("SELECT * FROM outbox")} == expected


def a_deferral(identifier: UUID, *, until: datetime) -> DeliveryReported:
    """What a channel reports in somebody's quiet hours."""
    return a_delivery_report(
        notification_id=identifier,
        state=DeliveryState.DEFERRED,
        attempt=0,
        attempts=(),
        deferred_until=until,
        problem=Problem(kind="recipient.quiet_hours", message="Quiet hours"),
    )


async def test_what_is_deferred_waits_for_its_time_and_can_be_cancelled_for_good(gateway: Gateway) -> None:
    identifier = await accepted(gateway)
    until = datetime.now(UTC) + timedelta(hours=8)
    await gateway.report(a_deferral(identifier, until=until))
    await reaches(gateway, identifier, "deferred")
    [entry] = await gateway.sql("SELECT run, due_at, published_at FROM outbox")
    assert (entry["run"], entry["due_at"], entry["published_at"]) == (2, until, None)
    answer = await ask(gateway, "POST", f"/{identifier}/cancel", as_=gateway.key)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    # Repeated, since its receipt was lost: the run that it opened stays closed.
    await gateway.report(a_deferral(identifier, until=until))
    await settled(gateway)
    assert (await gateway.get(f"/{identifier}")).json()["status"] == "cancelled"
    assert await gateway.count("outbox") == 0
    assert await gateway.depth() == 0


async def test_a_late_release_carries_its_expiry_and_ends_as_expired(gateway: Gateway) -> None:
    """Released after `expires_at`, since nobody ran: the worker is told, sends nothing, and says so."""
    expiry = datetime.now(UTC) + timedelta(seconds=30)
    identifier = await accepted(gateway, expires_at=expiry.isoformat())
    await gateway.sql("UPDATE outbox SET published_at = NULL, publish_count = 0, next_at = now()")
    [order] = await gateway.released(1)
    assert order.expires_at == expiry
    problem = Problem(kind="delivery.expired", message="Its time is over")
    expired = a_delivery_report(
        notification_id=identifier, state=DeliveryState.EXPIRED, attempt=0, attempts=(), problem=problem
    )
    await gateway.report(expired, expired)
    detail = await reaches(gateway, identifier, "expired")
    assert (detail["error"], detail["error_type"], detail["attempts"]) == (problem.message, problem.kind, [])
    assert await gateway.count("outbox") == 0
