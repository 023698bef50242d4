"""The moving parts of a channel service, put together, and started and stopped in order."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Generic, TypeVar

from shared.broker.interface import Broker
from shared.clients.templates import TemplateClient
from shared.clients.users import RecipientLookup, UserClient
from shared.contracts.channels import Lane
from shared.database.engine import Database
from shared.delivery import metrics
from shared.delivery.calling import Caller
from shared.delivery.doubts import Doubts
from shared.delivery.dry_run import DryRun
from shared.delivery.endings import Endings
from shared.delivery.gauges import Gauges
from shared.delivery.intake import Intake
from shared.delivery.lanes import Lanes
from shared.delivery.ledger import GATHER_S, Ledger
from shared.delivery.preparation import Preparation
from shared.delivery.provider import ChannelAdapter, Provider
from shared.delivery.rendering import Renderer
from shared.delivery.reporter import Reporter
from shared.delivery.rota import Rota
from shared.delivery.settings import ChannelSettings
from shared.delivery.sweep import Sweep
from shared.delivery.trial_records import TrialRecords
from shared.delivery.trials import Trials
from shared.delivery.worker import Worker
from shared.process.clock import SystemClock
from shared.process.tasks import BackgroundTasks
from shared.web.health import Readiness

ContentT = TypeVar("ContentT")


class ChannelParts(Generic[ContentT]):
    """Everything between the lanes and the providers of one channel."""

    def __init__(
        self,
        *,
        settings: ChannelSettings,
        adapter: ChannelAdapter[ContentT],
        providers: Sequence[Provider[ContentT]],
        database: Database,
        broker: Broker,
        users: UserClient,
        templates: TemplateClient,
    ) -> None:
        channel, clock = adapter.channel, SystemClock()
        shares = {
            Lane.URGENT: settings.urgent_concurrency,
            Lane.NORMAL: settings.normal_concurrency,
            Lane.BULK: settings.bulk_concurrency,
        }
        self._settings = settings
        self._providers = providers
        self._database = database
        self._broker = broker
        self._users = users
        self._templates = templates
        self._recipients = RecipientLookup(users, max_wait_s=GATHER_S)
        self._background = BackgroundTasks()
        self._sweeping = BackgroundTasks()
        self.ledger = Ledger(database)
        self._reporter = Reporter(broker, channel=channel)
        self._rota = Rota(providers, breaker_open_s=settings.breaker_open_s)
        self._caller: Caller[ContentT] = Caller(
            channel=channel,
            ledger=self.ledger,
            reporter=self._reporter,
            clock=clock,
            lease_margin_s=settings.lease_margin_s,
            longer_waits_s=settings.longer_waits_s,
        )
        preparation = Preparation(
            adapter=adapter,
            recipients=self._recipients,
            templates=templates,
            renderer=Renderer(),
            clock=clock,
        )
        dry_run: Rota[ContentT] = Rota([DryRun()])
        worker = Worker(
            preparation=preparation,
            ledger=self.ledger,
            rota=self._rota,
            dry_run=dry_run,
            caller=self._caller,
            doubts=Doubts(
                channel=channel, ledger=self.ledger, rota=self._rota, reporter=self._reporter, clock=clock
            ),
            endings=Endings(self.ledger, self._reporter),
            shares=shares,
        )
        trials = Trials(worker, TrialRecords(database), channel=channel)
        lanes = Lanes(broker, channel=channel, shares=shares, passage=lambda: self._rota.passage)
        self._intake = Intake(lanes=lanes, channel=channel, worker=worker, trials=trials)
        self._sweep = Sweep(
            channel=channel,
            ledger=self.ledger,
            worker=worker,
            trials=trials,
            rota=self._rota,
            reporter=self._reporter,
            in_flight=self._caller.is_calling,
            interval_s=settings.sweep_interval_s,
            report_repeat=timedelta(seconds=settings.report_repeat_s),
        )
        self._gauges = Gauges(channel=channel, ledger=self.ledger)
        metrics.begin(channel, providers=[provider.name for provider in providers])

    async def start(self) -> None:
        """Begin to deliver; nothing has to be there yet."""
        await self._database.start()
        await self.ledger.start()
        await self._reporter.start()
        await self._broker.start(wait_s=None)
        await self._templates.start()
        self._intake.start()
        self._sweeping.start("sweep", self._sweep.run)
        self._background.start("leases", self._caller.keep_leases)
        self._background.start("gauges", self._gauges.run)

    async def close(self) -> None:
        """Take nothing more, finish what a provider has been called for, hand back the rest."""
        await self._intake.close()
        await self._sweeping.close()
        await self._sweep.close()
        await self._caller.finish(grace_s=self._settings.stop_grace_s)
        await self._background.close()
        await self._reporter.close()
        await self.ledger.close()
        await self._templates.close()
        await self._recipients.close()
        await self._users.close()
        for provider in self._providers:
            await provider.close()
        await self._broker.close()
        await self._database.close()

    def readiness(self) -> Readiness:
        """Every dependency by name; the broker is one only with a live consumer on every lane."""
        readiness = Readiness()
        readiness.add("database", self._database.ping)
        readiness.add("broker", self._consumes)
        readiness.add("user_service", self._users.ping)
        readiness.add("template_service", self._templates.ping)
        for provider in self._providers:
            readiness.add(f"provider {provider.name}", provider.check)
        readiness.add_breakers(*self._rota.breakers, self._users.breaker, self._templates.breaker)
        return readiness

    async def _consumes(self) -> None:
        await self._broker.ping()
        if not self._intake.alive:
            raise ConnectionError("the lanes are not consumed")
