"""`carillon up`: everything, in order, until it is told to stop."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence

from carillon.console import MergedLog
from carillon.embedded import ports as tcp
from carillon.home import CHECKOUT, Home
from carillon.keys import secret_files
from carillon.migrations import migrate_all
from carillon.onboarding import Onboarding
from carillon.orphans import end_orphans, note
from carillon.plan import ProcessPlan, plan_processes
from carillon.readiness import not_ready
from carillon.run_record import RunRecord, read_record, write_record
from carillon.servers import EmbeddedServers
from carillon.settings import PUSH_STANDIN, Ports, UpSettings, choose_ports, port_variable
from carillon.setup_error import SetupError
from carillon.supervisor import SupervisedProcess, stop_in_order, wait_healthy
from carillon.welcome import welcome_text

_HEALTHY_WITHIN_S = 60.0
_READY_WITHIN_S = 20.0
_RECORD_EVERY_S = 1.0
_SAME_WISH_S = 1.0


async def up(settings: UpSettings, home: Home) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP; a second one kills instead of waiting. Raises SetupError."""
    run = _Run(settings, home)
    async with stopped_by_signals(run.hurry):
        try:
            await run.start()
            await asyncio.Event().wait()
        finally:
            await run.stop()


class _Run:
    def __init__(self, settings: UpSettings, home: Home) -> None:
        self.hurry = asyncio.Event()
        self._settings = settings
        self._home = home
        self._log = MergedLog()
        self._servers = EmbeddedServers(settings=settings, home=home, log=self._log)
        self._processes: list[SupervisedProcess] = []
        self._background: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """From nothing to a working installation."""
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
        self._start_processes(plans, database_url=servers.database_url)
        await self._wait_healthy()
        addresses = {plan.name: plan.url for plan in plans}
        onboarding = Onboarding(url=addresses["user"], service_secret=secrets.service_secret)
        credentials = await onboarding.first_credentials(self._home)
        await self._say_what_is_not_ready(plans)
        self._log.plain(welcome_text(addresses=addresses, credentials=credentials))

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

    def _start_processes(self, plans: Sequence[ProcessPlan], *, database_url: str) -> None:
        self._processes = [SupervisedProcess(plan, folder=CHECKOUT, log=self._log) for plan in plans]
        for process in self._processes:
            process.start()
        self._background.append(asyncio.create_task(self._servers.watch(), name="watch servers"))
        self._background.append(
            asyncio.create_task(self._keep_record(plans, database_url), name="keep record")
        )

    async def _keep_record(self, plans: Sequence[ProcessPlan], database_url: str) -> None:
        written: RunRecord | None = None
        while True:
            running = [(each.plan.name, each.pid) for each in self._processes if each.pid is not None] + list(
                self._servers.processes()
            )
            record = RunRecord(
                pid=os.getpid(),
                addresses={plan.name: plan.url for plan in plans},
                services=[plan.name for plan in plans if plan.is_service],
                database_url=database_url,
                processes=[noted for name, pid in running if (noted := note(name, pid)) is not None],
            )
            if record != written:
                write_record(self._home.run_record, record)
                written = record
            await asyncio.sleep(_RECORD_EVERY_S)

    async def _wait_healthy(self) -> None:
        missing = await wait_healthy(self._processes, timeout_s=_HEALTHY_WITHIN_S)
        if missing:
            raise SetupError(
                f"Not started within {_HEALTHY_WITHIN_S:.0f} s: {', '.join(missing)}. See above."
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


@contextlib.asynccontextmanager
async def stopped_by_signals(
    hurry: asyncio.Event, *, time_s: Callable[[], float] = time.monotonic
) -> AsyncIterator[None]:
    """The first signal cancels the body, further ones set `hurry`; the body's own end is left alone."""
    loop = asyncio.get_running_loop()
    body = asyncio.current_task()
    told_at: float | None = None

    def on_signal() -> None:
        nonlocal told_at
        if told_at is None and body is not None:
            told_at = time_s()
            body.cancel()
        # `make` passes on a signal that its whole group got: that is one wish, not two.
        elif told_at is not None and time_s() - told_at > _SAME_WISH_S:
            hurry.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    except asyncio.CancelledError:
        if told_at is None:
            raise
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
