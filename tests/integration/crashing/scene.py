"""A channel service that may die, and the gateway that orders from it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from email_service.settings import EmailSettings
from gateway_service.domain.release import release_message
from gateway_service.storage.notifications import Notification
from push_service.settings import PushSettings
from shared.broker.interface import Broker, QueueState
from shared.broker.postgres.broker import PostgresBroker
from shared.broker.topology import FAILED_QUEUE, REPORTS_QUEUE, lane_queue
from shared.contracts.categories import policy_of
from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import (
    TERMINAL_STATES,
    DeliveriesReported,
    DeliveryKey,
    DeliveryState,
    ReportReceipt,
)
from shared.database.errors import DatabaseUnavailable
from shared.delivery.ledger import Ledger
from shared.delivery.ledger_rows import LedgerRow, TargetKey
from tests.builders import a_notification
from tests.integration.crashing.service_process import ForkedProcess, start_process

PATIENCE_S = 100.0
"""How long to wait for what has to come: on a busy machine a breaker may open meanwhile, for 60 s."""


@dataclass(frozen=True, kw_only=True)
class End:
    """How one target ended, and how many copies arrived there."""

    category: str
    row: LedgerRow
    copies: int


@dataclass(kw_only=True)
class GatewaySide:
    """What the gateway does for a channel: orders, takes reports and gives receipts, takes what is parked."""

    channel: Channel
    broker: Broker
    ledger: Ledger
    recipient: UUID
    template: str
    orders: dict[UUID, str] = field(default_factory=dict)
    reported: dict[tuple[UUID, str], DeliveryState] = field(default_factory=dict)
    parked: list[bytes] = field(default_factory=list)

    async def order(self, *categories: str, name: str = "Ann", order_id: UUID | None = None) -> list[UUID]:
        """Release one notification of each category, as the relay does; the broker has them safely. `name`
        is what the template says; `order_id` is for a single one."""
        notifications = [
            self._notification(order_id or uuid4(), category, name=name) for category in categories
        ]
        receipts = await self.broker.publish([release_message(item) for item in notifications])
        assert [receipt.error for receipt in receipts] == [None] * len(receipts)
        self.orders |= {item.id: item.category for item in notifications}
        return [item.id for item in notifications]

    async def run(self) -> None:
        """Take reports and parked messages until cancelled."""
        async with asyncio.TaskGroup() as consuming:
            consuming.create_task(self._take_reports())
            consuming.create_task(self._take_parked())

    async def rows(self) -> dict[UUID, list[LedgerRow]]:
        """What the ledger has of each order."""
        found: dict[UUID, list[LedgerRow]] = {notification_id: [] for notification_id in self.orders}
        keys = [DeliveryKey(notification_id=notification_id, run=1) for notification_id in self.orders]
        for row in await self.ledger.lookup(keys):
            found[row.key.notification_id].append(row)
        return found

    async def abandoned(self) -> bool:
        """Whether the broker knows of no worker any more, and has taken back what the dead held."""
        if isinstance(self.broker, PostgresBroker):
            # What every process does each 2 s; a moment after a death there is no need to wait for it.
            await self.broker.leases.free_the_dead()
        return not any(lane.consumers for lane in await self._lanes())

    async def taken_up(self) -> bool:
        """Whether a worker has everything in hand: no lane holds a message, and no target is uncalled."""
        lanes = await self._lanes()
        if any(lane.depth or not lane.consumers for lane in lanes):
            return False
        rows = await self.rows()
        return all(rows.values()) and not any(
            row.state is DeliveryState.PENDING for of_one in rows.values() for row in of_one
        )

    async def all_ended(self) -> bool:
        """Whether every target has ended, and the gateway knows how."""
        assert not self.parked, self.parked
        rows = await self.rows()
        return all(rows.values()) and all(
            row.state in TERMINAL_STATES
            and self.reported.get((row.key.notification_id, row.key.target)) is row.state
            for of_one in rows.values()
            for row in of_one
        )

    async def told(self) -> str:
        """What keeps it from ending, for whoever reads of a failure."""
        rows = await self.rows()
        absent = [order for order, of_one in rows.items() if not of_one]
        unended = [row for of_one in rows.values() for row in of_one if row.state not in TERMINAL_STATES]
        return f"lanes: {await self._lanes()}; absent: {absent}; not ended: {unended}"

    async def _lanes(self) -> list[QueueState]:
        return [await self.broker.queue_state(lane_queue(self.channel, lane)) for lane in Lane]

    async def _take_reports(self) -> None:
        async for delivery in self.broker.consume(REPORTS_QUEUE, prefetch=50):
            reports = msgspec.json.decode(delivery.body, type=DeliveriesReported).reports
            for report in reports:
                if report.state in TERMINAL_STATES:
                    self.reported[report.notification_id, report.target] = report.state
            await self._acknowledge(
                [
                    ReportReceipt(
                        notification_id=report.notification_id,
                        run=report.run,
                        target=report.target,
                        attempt=report.attempt,
                        state=report.state,
                    )
                    for report in reports
                ]
            )
            await delivery.ack()

    async def _acknowledge(self, receipts: Sequence[ReportReceipt]) -> None:
        while True:
            try:
                await self.ledger.receive(receipts)
            except DatabaseUnavailable:
                await asyncio.sleep(0.1)  # a test has killed it
            else:
                return

    async def _take_parked(self) -> None:
        async for delivery in self.broker.consume(FAILED_QUEUE, prefetch=50):
            self.parked.append(delivery.body)
            await delivery.ack()

    def _notification(self, order_id: UUID, category: str, *, name: str) -> Notification:
        policy = policy_of(category)
        urgent = Lane.URGENT if category == "security" else Lane.NORMAL
        return a_notification(
            id=order_id,
            user_id=self.recipient,
            channel=self.channel,
            template_code=self.template,
            template_version=None,
            language=None,
            variables={"name": name},
            lane=Lane.BULK if policy.bulk else urgent,
            category=category,
        )


@dataclass(kw_only=True)
class Scene:
    """What a test does: order, start workers, and see what has arrived (`copies`, by target)."""

    settings: EmailSettings | PushSettings
    gateway: GatewaySide
    copies: Callable[[TargetKey], int]
    log: Path
    _workers: list[ForkedProcess] = field(default_factory=list)

    def worker(self, **changes: object) -> ForkedProcess:
        """Start one, with these settings changed."""
        worker = start_process(self.settings.model_copy(update=changes), log=self.log)
        self._workers.append(worker)
        return worker

    async def ends(self) -> list[End]:
        """How every target of every order ended."""
        rows = await self.gateway.rows()
        return [
            End(category=category, row=row, copies=self.copies(row.key))
            for notification_id, category in self.gateway.orders.items()
            for row in rows[notification_id]
        ]

    def clear(self) -> None:
        """End whatever is left."""
        while self._workers:
            self._workers.pop().remove()


async def eventually(
    condition: Callable[[], Awaitable[bool]], *, told: Callable[[], Awaitable[str]] | None = None
) -> None:
    """Wait until it holds. Raises TimeoutError, with what `told` says of it."""
    deadline = time.monotonic() + PATIENCE_S
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError("It never came to hold." if told is None else await told())
        await asyncio.sleep(0.03)
