"""Everything of the gateway that runs behind its routes, started and stopped in order."""

from dataclasses import dataclass

from gateway_service.domain.submission import Submissions
from gateway_service.messaging.consumption import Consumption
from gateway_service.messaging.failures import PREFETCH as FAILURES_PREFETCH
from gateway_service.messaging.failures import Failures
from gateway_service.messaging.housekeeping import Housekeeping
from gateway_service.messaging.overdue import Overdue
from gateway_service.messaging.postmarks import Postmarks
from gateway_service.messaging.purge import Purge
from gateway_service.messaging.receipts import Receipts
from gateway_service.messaging.relay import AT_ONCE, Relay
from gateway_service.messaging.reports import PREFETCH as REPORTS_PREFETCH
from gateway_service.messaging.reports import Reports
from gateway_service.messaging.reprocessing import JobRunner
from gateway_service.messaging.sentinel import Sentinel
from gateway_service.messaging.sweep import Sweep
from shared.broker.interface import Broker, BrokerUnavailable
from shared.broker.topology import FAILED_QUEUE, REPORTS_QUEUE
from shared.clients.ledgers import LedgerClient
from shared.clients.templates import TemplateClient
from shared.clients.users import UserClient
from shared.database.engine import Database
from shared.process.clock import Clock
from shared.process.tasks import BackgroundTasks


@dataclass(frozen=True, kw_only=True)
class Pace:
    """`interval_s`: seconds between two sweeps. `ask_after_s`: seconds until a ledger is asked.
    `keep_months`: months before the present one that are kept; 0: all."""

    interval_s: float
    ask_after_s: float
    keep_months: int


class PostOffice:
    """Relay, sweep, watch over the broker, and the consumers of reports and failures."""

    def __init__(
        self,
        *,
        database: Database,
        broker: Broker,
        users: UserClient,
        templates: TemplateClient,
        ledgers: LedgerClient,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._postmarks = Postmarks(database, ask_after_s=pace.ask_after_s)
        self.relay = Relay(broker, self._postmarks)
        self._receipts = Receipts(ledgers)
        self._reports = Reports(database, self._receipts, self._postmarks, clock)
        failures = Failures(database, self._receipts, clock)
        self._consumers = {
            "reports": Consumption(broker, REPORTS_QUEUE, self._reports.handle, prefetch=REPORTS_PREFETCH),
            "failures": Consumption(broker, FAILED_QUEUE, failures.handle, prefetch=FAILURES_PREFETCH),
        }
        self._sweep = Sweep(
            database,
            broker,
            templates,
            users=users,
            postmarks=self._postmarks,
            interval_s=pace.interval_s,
        )
        self._overdue = Overdue(database, broker, ledgers, clock, ask_after_s=pace.ask_after_s)
        self._sentinel = Sentinel(database, broker)
        self._housekeeping = Housekeeping(database, clock)
        self._purge = Purge(database, ledgers, clock, keep_months=pace.keep_months)
        self._jobs = JobRunner(database, clock)
        self._broker = broker
        self._tasks = BackgroundTasks()

    async def start(self) -> None:
        """Begin; needs neither PostgreSQL nor the broker to be there."""
        await self._reports.start()
        for number in range(AT_ONCE):
            self._tasks.start(f"relay.{number}", self.relay.run)
        self._tasks.start("postmarks", self._postmarks.run)
        self._tasks.start("receipts", self._receipts.run)
        for name, consumer in self._consumers.items():
            self._tasks.start(f"consume.{name}", consumer.run)
        self._tasks.start("sentinel", self._sentinel.run)
        self._tasks.start("sweep", self._sweep.run)
        self._tasks.start("overdue", self._overdue.run)
        self._tasks.start("months", self._housekeeping.make_months)
        self._tasks.start("keys", self._housekeeping.forget_keys)
        self._tasks.start("gauges", self._housekeeping.watch)
        self._tasks.start("purge", self._purge.run)
        self._tasks.start("jobs", self._jobs.run)

    async def close(self, submissions: Submissions) -> None:
        """Commit what was taken in, publish it, finish what was consumed, and say so to the ledgers."""
        await submissions.close()
        await self.relay.drain()
        await self._tasks.close()
        await self._jobs.give_back()
        for consumer in self._consumers.values():
            await consumer.close()
        await self._reports.close()
        await self._postmarks.write()
        await self._receipts.send()

    async def check_broker(self) -> None:
        """For readiness: the broker answers and holds our consumers. Raises BrokerUnavailable."""
        await self._broker.ping()
        for name, consumer in self._consumers.items():
            if not consumer.alive:
                raise BrokerUnavailable(f"the broker holds no consumer of {name}")
