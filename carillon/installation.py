"""One installation of everything on this machine: started in order, kept running, stopped in order."""

import asyncio
import os
from collections.abc import Sequence

from carillon.console import MergedLog
from carillon.embedded import ports as tcp
from carillon.home import CHECKOUT, Home
from carillon.keys import secret_files
from carillon.migrations import migrate_all
from carillon.onboarding import FirstCredentials, Onboarding
from carillon.orphans import end_orphans, note
from carillon.plan import ProcessPlan, Servers, plan_processes
from carillon.readiness import not_ready
from carillon.run_record import RunRecord, read_record, write_record
from carillon.servers import EmbeddedServers
from carillon.settings import MAILBOX, PUSH_STANDIN, Ports, UpSettings, choose_ports, port_variable
from carillon.setup_error import SetupError
from carillon.supervisor import SupervisedProcess, stop_in_order, wait_healthy

_HEALTHY_WITHIN_S = 60.0
_READY_WITHIN_S = 20.0
_RECORD_EVERY_S = 1.0


class Installation:
    """The one of `home`. Whoever starts it stops it, however the start ends.

    What the processes say goes to `log`, which a person finds at `log_place`. Setting `hurry` kills what is
    being stopped instead of waiting for it.
    """

    def __init__(
        self,
        settings: UpSettings,
        home: Home,
        *,
        log: MergedLog,
        log_place: str = "above",
        hurry: asyncio.Event | None = None,
    ) -> None:
        self.hurry = hurry or asyncio.Event()
        self.addresses: dict[str, str] = {}
        self._settings = settings
        self._home = home
        self._log = log
        self._log_place = log_place
        self._servers = EmbeddedServers(settings=settings, home=home, log=self._log)
        self._processes: list[SupervisedProcess] = []
        self._background: list[asyncio.Task[None]] = []

    async def start(self) -> FirstCredentials:
        """From nothing to a working installation. Raises SetupError."""
        self._home.open()
        self._home.take()
        self._end_former_run()
        ports = choose_ports(self._settings)
        _check_free(ports, host=self._settings.host)
        secrets = secret_files(self._home, push_standin_url=f"http://127.0.0.1:{ports[PUSH_STANDIN]}")
        servers = await self._servers.start()
        plans = plan_processes(
            servers=servers, secrets=secrets, ports=ports, host=self._settings.host, inherited=os.environ
        )
        await migrate_all(plans, folder=CHECKOUT)
        self.addresses = {plan.name: plan.url for plan in plans}
        self._start_processes(plans, servers)
        await self._wait_healthy()
        onboarding = Onboarding(url=self.addresses["user"], service_secret=secrets.service_secret)
        credentials = await onboarding.first_credentials(self._home)
        await self._say_what_is_not_ready(plans)
        return credentials

    async def stop(self) -> None:
        """Everything that was started, in the reverse order; nothing is left behind."""
        if self._processes:
            self._log.say("stopping; Ctrl-C again to kill", style="")
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await stop_in_order(self._processes, hurry=self.hurry)
        self._servers.stop()
        if self._home.taken:
            self._home.run_record.unlink(missing_ok=True)
            self._home.release()

    def _end_former_run(self) -> None:
        former = read_record(self._home.run_record)
        if former is None:
            return
        names = end_orphans(former.processes)
        if names:
            self._log.say(f"ended what a former run has left: {', '.join(names)}", style="yellow")

    def _start_processes(self, plans: Sequence[ProcessPlan], servers: Servers) -> None:
        self._processes = [SupervisedProcess(plan, folder=CHECKOUT, log=self._log) for plan in plans]
        for process in self._processes:
            process.start()
        self._background.append(asyncio.create_task(self._servers.watch(), name="watch servers"))
        self._background.append(asyncio.create_task(self._keep_record(plans, servers), name="keep record"))

    async def _keep_record(self, plans: Sequence[ProcessPlan], servers: Servers) -> None:
        written: list[tuple[str, int]] | None = None
        while True:
            running = [(each.plan.name, each.pid) for each in self._processes if each.pid is not None] + list(
                self._servers.processes()
            )
            if running != written:
                record = RunRecord(
                    pid=os.getpid(),
                    addresses=self.addresses,
                    services=[plan.name for plan in plans if plan.is_service],
                    database_url=servers.database_url,
                    broker_url=servers.broker_url,
                    caught=caught_channels(plans),
                    processes=[noted for name, pid in running if (noted := note(name, pid)) is not None],
                )
                write_record(self._home.run_record, record)
                written = running
            await asyncio.sleep(_RECORD_EVERY_S)

    async def _wait_healthy(self) -> None:
        missing = await wait_healthy(self._processes, timeout_s=_HEALTHY_WITHIN_S)
        if missing:
            raise SetupError(
                f"Not started within {_HEALTHY_WITHIN_S:.0f} s: {', '.join(missing)}. See {self._log_place}."
            )

    async def _say_what_is_not_ready(self, plans: Sequence[ProcessPlan]) -> None:
        """Services start without what they depend on, and say so."""
        services = {plan.name: plan.url for plan in plans if plan.is_service}
        for sentence in await not_ready(services, timeout_s=_READY_WITHIN_S):
            self._log.say(f"not ready yet: {sentence}", style="yellow")


def _check_free(ports: Ports, *, host: str) -> None:
    for name, port in ports.by_name.items():
        if not tcp.is_free(port, host):
            raise SetupError(
                f"Port {port} ({name}) is taken{tcp.taken_by(port)}: stop that program, or set "
                f"{port_variable(name)} to another port, or CARILLON_PORT_OFFSET for all."
            )


def caught_channels(plans: Sequence[ProcessPlan]) -> list[str]:
    """The channels whose messages end in a development tool, and not at a provider outside."""
    by_name = {plan.name: plan for plan in plans}
    mail, push = by_name["email"].environment, by_name["push"].environment
    mailbox = ("127.0.0.1", by_name[MAILBOX].environment["CARILLON_MAILBOX_SMTP_PORT"])
    caught = {
        "email": (mail["CARILLON_SMTP_HOST"], mail["CARILLON_SMTP_PORT"]) == mailbox,
        "push": push.get("CARILLON_FCM_URL") == by_name[PUSH_STANDIN].url,
    }
    return [channel for channel, is_caught in caught.items() if is_caught]
