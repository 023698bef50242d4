"""What several tests of failures begin with: notifications that failed, parked as a channel parks them."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import msgspec

from shared.broker.topology import lane_queue
from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import (
    Attempt,
    DeliveryParked,
    DeliveryReported,
    DeliveryRequested,
    DeliveryState,
    Problem,
)
from tests.builders import a_delivery_report
from tests.integration.gateway.conftest import Gateway, eventually

REFUSED = Problem(kind="smtp.connection_refused", message="The mail server does not take connections.")
BROKEN = Problem(kind="template.broken", message="body: line 3: a filter is unknown.")
SCOPES = ("notifications:send", "notifications:read", "failed:read", "failed:write")


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A notification that failed, and the order that could not be carried out."""

    id: UUID
    order: DeliveryRequested


def a_failure(order: DeliveryRequested, **changes: object) -> DeliveryReported:
    """The report of a target that no provider has taken."""
    problem = changes.pop("problem", REFUSED)
    provider = changes.pop("provider", "smtp")
    attempt = Attempt(
        number=1,
        provider=str(provider),
        outcome="rejected",
        problem=problem if isinstance(problem, Problem) else None,
        started_at=datetime.now(UTC),
        duration_ms=12,
    )
    return a_delivery_report(
        **{
            "notification_id": order.notification_id,
            "run": order.run,
            "channel": order.channel,
            "state": DeliveryState.FAILED,
            "problem": problem,
            "provider": provider,
            "provider_message_id": None,
            "attempts": (attempt,),
            **changes,
        }
    )


async def fail(
    gateway: Gateway, order: DeliveryRequested, *, stack: str | None = None, **changes: object
) -> None:
    """Park an order as its channel would."""
    parked = DeliveryParked(report=a_failure(order, **changes), request=order, stack=stack)
    await gateway.park(msgspec.json.encode(parked))


async def failed(
    gateway: Gateway, count: int = 1, *, lane: Lane = Lane.NORMAL, **request: object
) -> list[Failed]:
    """So many notifications that failed since the mail server refused connections."""
    return await failed_for(gateway, REFUSED, count, lane=lane, **request)


async def failed_for(
    gateway: Gateway, problem: Problem, count: int = 1, *, lane: Lane = Lane.NORMAL, **request: object
) -> list[Failed]:
    """The same for another cause."""
    before = await gateway.count("failed")
    ids = [UUID((await gateway.post(gateway.a_request(**request))).json()["id"]) for _ in range(count)]
    orders: dict[UUID, DeliveryRequested] = {}
    # Where tests share a gateway, one before may have left an order of its own in the lane.
    while missing := set(ids) - orders.keys():
        taken = await gateway.released(len(missing), lane=lane)
        orders |= {order.notification_id: order for order in taken}
    for identifier in ids:
        await fail(gateway, orders[identifier], problem=problem)

    async def parked() -> bool:
        return await gateway.count("failed") == before + count

    await eventually(parked)
    return [Failed(id=identifier, order=orders[identifier]) for identifier in ids]


async def ask(
    gateway: Gateway, method: str, path: str = "", *, as_: str | None = None, **body: object
) -> httpx.Response:
    """Below /failed."""
    return await gateway.http.request(
        method,
        f"/api/v1/failed{path}",
        headers={"Authorization": f"Bearer {as_ or gateway.key}"},
        **({"json": body} if body else {}),  # type: ignore[arg-type]
    )


async def items(gateway: Gateway, query: str = "") -> list[dict[str, Any]]:
    """GET /failed."""
    answer = await ask(gateway, "GET", query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


class Worker:
    """A channel that takes every order of a lane, and fails it for `problem` or sends it."""

    def __init__(self, gateway: Gateway, *, lane: Lane = Lane.NORMAL) -> None:
        self._gateway = gateway
        self._lane = lane
        self.problem: Problem | None = None
        self.sent: list[UUID] = []
        self.failed: list[UUID] = []

    async def __aenter__(self) -> "Worker":
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        consumer = self._gateway.broker.consume(lane_queue(Channel.EMAIL, self._lane), prefetch=50)
        try:
            async for delivery in consumer:
                order = msgspec.json.decode(delivery.body, type=DeliveryRequested)
                if self.problem is None:
                    self.sent.append(order.notification_id)
                    await self._gateway.report(
                        a_delivery_report(notification_id=order.notification_id, run=order.run)
                    )
                else:
                    self.failed.append(order.notification_id)
                    await fail(self._gateway, order, problem=self.problem)
                await delivery.ack()
        finally:
            await consumer.close()


async def start_job(gateway: Gateway, *, as_: str | None = None, **body: object) -> dict[str, Any]:
    """POST /failed/reprocess for all mails that failed."""
    answer = await ask(
        gateway, "POST", "/reprocess", as_=as_, **{"filter": {"notification_type": "email"}, **body}
    )
    assert answer.status_code in (200, 202), answer.text
    job: dict[str, Any] = answer.json()
    return job


async def job_reaches(
    gateway: Gateway, identifier: str, *statuses: str, settled: bool = True
) -> dict[str, Any]:
    """The job, once it stands there; `settled`: and what it released has ended."""
    found: dict[str, Any] = {}

    async def stands_there() -> bool:
        found.update((await ask(gateway, "GET", f"/jobs/{identifier}")).json())
        return found["status"] in statuses and not (settled and found["in_flight"])

    await eventually(stands_there, within_s=30)
    return found
