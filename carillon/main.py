"""The command line."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated

import typer
from pydantic import ValidationError

from carillon.console import MergedLog
from carillon.home import CHECKOUT, Home
from carillon.keys import make_password, secret_files
from carillon.migrations import migrate_all
from carillon.onboarding import Onboarding
from carillon.plan import Servers, plan_processes
from carillon.servers import EmbeddedServers
from carillon.settings import PUSH_STANDIN, UpSettings, choose_ports
from carillon.setup_error import SetupError
from carillon.status import current_run, show_status
from carillon.up import up as run_up
from shared.process.logging import configure_logging

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would show local variables, and secrets among them
    help="Carillon: notifications, self-hosted.",
)
admin = typer.Typer(no_args_is_help=True, help="Administrators.")
app.add_typer(admin, name="admin")

_SETUP_ERROR_CODE = 2


@app.command()
def up(
    broker: Annotated[
        str | None,
        typer.Option(metavar="URL", help="amqp://… for RabbitMQ; the same as CARILLON_BROKER_URL."),
    ] = None,
) -> None:
    """Start everything on this machine, until Ctrl-C. Data and secrets are kept in .carillon."""

    async def run() -> int:
        await run_up(_settings(broker), Home())
        return 0

    _run(run)


@app.command()
def status() -> None:
    """Show how each service is. Ends with 0 where all are ready, 1 where one is not, 2 where nothing runs."""
    _run(lambda: show_status(Home()))


@app.command()
def migrate() -> None:
    """Bring all databases up to date, on the embedded server or on that of CARILLON_DATABASE_URL."""

    async def run() -> int:
        await _migrate(_settings(None), Home())
        return 0

    _run(run)


@admin.command("create")
def create_admin(
    email: str,
    password: Annotated[
        str | None, typer.Option(help="Default: CARILLON_ADMIN_PASSWORD, or a new one, which is printed.")
    ] = None,
) -> None:
    """Create an administrator in the running installation."""

    async def run() -> int:
        home = Home()
        chosen = password or os.environ.get("CARILLON_ADMIN_PASSWORD") or make_password()
        record = current_run(home)
        onboarding = Onboarding(url=record.addresses["user"], service_secret=home.secret("service_secret"))
        await onboarding.create_admin(email=email, password=chosen)
        print(f"CARILLON_ADMIN={email}:{chosen}")
        return 0

    _run(run)


async def _migrate(settings: UpSettings, home: Home) -> None:
    home.open()
    ports = choose_ports(settings)
    secrets = secret_files(home, push_standin_url=f"http://127.0.0.1:{ports[PUSH_STANDIN]}")
    embedded: EmbeddedServers | None = None
    if settings.database_url is None and home.running_pid() is not None:
        url = current_run(home).database_url
        servers = Servers(database_url=url, broker_url=url, redis_url="redis://127.0.0.1")
    else:
        home.take()
        embedded = EmbeddedServers(settings=settings, home=home, log=MergedLog())
        servers = await embedded.start()
    try:
        plans = plan_processes(
            servers=servers, secrets=secrets, ports=ports, host=settings.host, inherited=os.environ
        )
        await migrate_all(plans, folder=CHECKOUT)
        print("All databases are up to date.")
    finally:
        if embedded is not None:
            embedded.stop()
            home.release()


def _settings(broker: str | None) -> UpSettings:
    if broker is not None:
        os.environ["CARILLON_BROKER_URL"] = broker
    try:
        return UpSettings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise SetupError(f"CARILLON_{name}: {first['msg'].removeprefix('Value error, ')}.") from error


def _run(command: Callable[[], Coroutine[None, None, int]]) -> None:
    """Run a command; what the person has to put right is said in one sentence."""
    configure_logging(service="carillon", level="WARNING", format="console")
    try:
        code = asyncio.run(command())
    except SetupError as error:
        print(error, file=sys.stderr)
        code = _SETUP_ERROR_CODE
    except KeyboardInterrupt:
        code = 130
    raise typer.Exit(code)
