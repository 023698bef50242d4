"""A channel with a real ledger and a real broker, and a provider in the test's hands."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Protocol

import msgspec
import pytest

from shared.broker.factory import connect_broker
from shared.broker.interface import Broker
from shared.broker.topology import FAILED_QUEUE, REPORTS_QUEUE
from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import (
    DeliveriesReported,
    DeliveryKey,
    DeliveryParked,
    DeliveryReported,
    DeliveryRequested,
)
from shared.database.engine import Database
from shared.delivery.calling import Caller
from shared.delivery.doubts import Doubts
from shared.delivery.dry_run import DryRun
from shared.delivery.endings import Endings
from shared.delivery.intake import Intake
from shared.delivery.lanes import Lanes
from shared.delivery.ledger import MIGRATIONS, Ledger
from shared.delivery.ledger_rows import LedgerRow
from shared.delivery.preparation import Preparation
from shared.delivery.rendering import Renderer
from shared.delivery.reporter import Reporter
from shared.delivery.rota import Rota
from shared.delivery.sweep import Sweep
from shared.delivery.trial_records import TrialRecords
from shared.delivery.trials import Trials
from shared.delivery.worker import Worker
from shared.process.clock import SystemClock
from tests.fakes.delivery import People, PlainChannel, ScriptedProvider, Templates
from tests.servers import MigratedDatabases


class ChannelUnderTest:
    """What a test of the worker does and looks at."""

    def __init__(
        self,
        *,
        database: Database,
        broker: Broker,
        people: People,
        templates: Templates,
        provider: ScriptedProvider,
        others: Sequence[ScriptedProvider] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.people, self.provider, self.broker, self.database = people, provider, broker, database
        self.ledger = Ledger(database)
        self.reporter = Reporter(broker, channel=Channel.PUSH)
        self.caller: Caller[str] = Caller(
            channel=Channel.PUSH,
            ledger=self.ledger,
            reporter=self.reporter,
            clock=SystemClock(),
            lease_margin_s=15,
        )
        preparation = Preparation(
            adapter=PlainChannel(),
            recipients=people,
            templates=templates,
            renderer=Renderer(),
            clock=SystemClock(),
        )
        self.rota: Rota[str] = Rota([provider, *others], monotonic=monotonic)
        self.worker: Worker[str] = Worker(
            preparation=preparation,
            ledger=self.ledger,
            rota=self.rota,
            dry_run=Rota([DryRun()]),
            caller=self.caller,
            doubts=Doubts(
                channel=Channel.PUSH,
                ledger=self.ledger,
                rota=self.rota,
                reporter=self.reporter,
                clock=SystemClock(),
            ),
            endings=Endings(self.ledger, self.reporter),
            shares=dict.fromkeys(Lane, 8),
        )
        self.trials = Trials(self.worker, TrialRecords(database), channel=Channel.PUSH)
        self._reported: list[DeliveryReported] = []
        self._intakes: list[Intake[str]] = []
        self.sweep = Sweep(
            channel=Channel.PUSH,
            ledger=self.ledger,
            worker=self.worker,
            trials=self.trials,
            rota=self.rota,
            reporter=self.reporter,
            in_flight=lambda _: False,
            interval_s=0.05,
            report_repeat=timedelta(seconds=15),
        )

    async def deliver(self, request: DeliveryRequested, *, known: bool = False) -> int | None:
        """As if the broker had brought it."""
        return await self.worker.deliver(request, msgspec.json.encode(request), known=known)

    async def rows(self, request: DeliveryRequested) -> list[LedgerRow]:
        """What the ledger has of it."""
        return await self.ledger.rows(DeliveryKey(notification_id=request.notification_id, run=request.run))

    async def row(self, request: DeliveryRequested) -> LedgerRow:
        """The one row of it."""
        (row,) = await self.rows(request)
        return row

    def intake(self, *, share: int = 2) -> Intake[str]:
        """What consumes the lanes of the broker."""
        lanes = Lanes(
            self.broker,
            channel=Channel.PUSH,
            shares=dict.fromkeys(Lane, share),
            passage=lambda: self.rota.passage,
        )
        intake = Intake(lanes=lanes, channel=Channel.PUSH, worker=self.worker, trials=self.trials)
        self._intakes.append(intake)
        return intake

    async def close(self) -> None:
        """Whatever a test that failed has left running."""
        for intake in self._intakes:
            await intake.close()

    async def pass_time(self) -> None:
        """What was to happen later is due now, and every lease has run out."""
        async with self.database.connection() as connection:
            await connection.execute(
                "UPDATE deliveries SET next_attempt_at = next_attempt_at - interval '1 hour', "
                "lease_until = lease_until - interval '1 hour', "
                "unreported_since = unreported_since - interval '1 hour', "
                "resumed_until = resumed_until - interval '1 hour'"
            )

    async def postpone(self) -> None:
        """What is due soon is due in an hour."""
        async with self.database.connection() as connection:
            await connection.execute(
                "UPDATE deliveries SET next_attempt_at = next_attempt_at + interval '1 hour'"
            )

    async def reports(self, count: int) -> list[DeliveryReported]:
        """The next `count` reports that went to the gateway, in order."""
        while len(self._reported) < count:
            (body,) = await self.take(REPORTS_QUEUE, 1)
            self._reported += msgspec.json.decode(body, type=DeliveriesReported).reports
        reports, self._reported = self._reported[:count], self._reported[count:]
        return reports

    async def parked(self, count: int) -> list[DeliveryParked]:
        """The next `count` messages in failed.queue."""
        return [
            msgspec.json.decode(body, type=DeliveryParked) for body in await self.take(FAILED_QUEUE, count)
        ]

    async def take(self, queue: str, count: int) -> list[bytes]:
        """The next `count` messages of a queue."""
        consumer = self.broker.consume(queue, prefetch=count)
        bodies = []
        async for delivery in consumer:
            bodies.append(delivery.body)
            await delivery.ack()
            if len(bodies) == count:
                break
        await consumer.close()
        return bodies


class OpenChannel(Protocol):
    """Makes a channel."""

    async def __call__(
        self,
        people: People,
        templates: Templates,
        provider: ScriptedProvider,
        *others: ScriptedProvider,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> ChannelUnderTest: ...


@pytest.fixture
def ledger_url(migrated_databases: MigratedDatabases) -> Iterator[str]:
    """A ledger's database."""
    with migrated_databases.fresh(MIGRATIONS) as url:
        yield url


@pytest.fixture
async def open_channel(ledger_url: str, second_database_url: str) -> AsyncIterator[OpenChannel]:
    """Makes channels on one ledger: a second one is a second process."""
    async with AsyncExitStack() as stack:
        broker = connect_broker(second_database_url, client_name="tests")
        await broker.start(wait_s=5)
        stack.push_async_callback(broker.close)

        async def opened(
            people: People,
            templates: Templates,
            provider: ScriptedProvider,
            *others: ScriptedProvider,
            monotonic: Callable[[], float] = time.monotonic,
        ) -> ChannelUnderTest:
            database = Database(ledger_url, timeout_s=20)
            await database.start()
            stack.push_async_callback(database.close)
            channel = ChannelUnderTest(
                database=database,
                broker=broker,
                people=people,
                templates=templates,
                provider=provider,
                others=others,
                monotonic=monotonic,
            )
            for part in (channel.ledger, channel.reporter):
                await part.start()
                stack.push_async_callback(part.close)
            stack.push_async_callback(channel.close)
            return channel

        yield opened
