"""The command line."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from carillon.bench.command import bench
from carillon.console import MergedLog
from carillon.demo.demonstration import demonstrate
from carillon.demo.venue import EMBEDDED, RABBITMQ
from carillon.deployment import prepare_deployment
from carillon.failed.command import failed
from carillon.home import CHECKOUT, Home
from carillon.keys import make_password, secret_files
from carillon.migrations import migrate_all, migrate_server
from carillon.onboarding import Onboarding
from carillon.plan import Servers, plan_processes
from carillon.prove.command import prove
from carillon.servers import EmbeddedServers
from carillon.settings import PUSH_STANDIN, NamedInstallation, UpSettings, choose_ports
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
app.add_typer(failed, name="failed")
app.command()(bench)
app.command()(prove)

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
def demo(
    count: Annotated[int, typer.Option(min=1, max=20_000, help="How many notifications to send.")] = 200,
    broker: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="amqp://…, `rabbitmq` for a node of the demo's own, `embedded` for PostgreSQL. Default: "
            "that of the installation that runs, else as with `up`.",
        ),
    ] = None,
) -> None:
    """Send mails and push messages to made-up people, and check that each arrives once and as it should.

    Uses the installation that runs, else starts one and stops it again. Ends with 0 only where everything
    arrived.
    """
    settings = None if broker in (EMBEDDED, RABBITMQ) else broker
    _run(lambda: demonstrate(count=count, broker=broker, settings=_settings(settings), home=Home()))


@app.command()
def status() -> None:
    """Show how each service is. Ends with 0 where all are ready, 1 where one is not, 2 where nothing runs."""
    _run(lambda: show_status(Home()))


@app.command()
def migrate() -> None:
    """Bring all databases up to date, on the embedded server or on that of CARILLON_DATABASE_URL."""

    async def run() -> int:
        await _migrate(_settings(None), Home())
        print("All databases are up to date.")
        return 0

    _run(run)


@admin.command("create")
def create_admin(
    email: str,
    password: Annotated[
        str | None, typer.Option(help="Default: CARILLON_ADMIN_PASSWORD, or a new one, which is printed.")
    ] = None,
) -> None:
    """Create an administrator in the running installation: that of `carillon up`, or the one that
    CARILLON_USER_SERVICE_URL and CARILLON_SERVICE_SECRET name."""

    async def run() -> int:
        home = Home()
        chosen = password or os.environ.get("CARILLON_ADMIN_PASSWORD") or make_password()
        named = NamedInstallation()
        if named.user_service_url is not None and named.service_secret is not None:
            url, secret = named.user_service_url, named.service_secret.get_secret_value()
        else:
            url, secret = current_run(home).addresses["user"], home.secret("service_secret")
        onboarding = Onboarding(url=url, service_secret=secret)
        await onboarding.create_admin(email=email, password=chosen)
        print(f"CARILLON_ADMIN={email}:{chosen}")
        return 0

    _run(run)


@app.command("env")
def prepare(folder: Path = Path()) -> None:
    """Make what `docker compose` needs: .env and secrets/, in this folder. What is there stays as it is."""

    async def run() -> int:
        made = prepare_deployment(folder)
        print(f"Made {', '.join(made)}." if made else "Everything is there already; nothing was changed.")
        return 0

    _run(run)


async def _migrate(settings: UpSettings, home: Home) -> None:
    if settings.database_url is not None:
        await migrate_server(settings.database_url, folder=CHECKOUT)
        return
    home.open()
    ports = choose_ports(settings)
    secrets = secret_files(home, push_standin_url=f"http://127.0.0.1:{ports[PUSH_STANDIN]}")
    embedded: EmbeddedServers | None = None
    if home.running_pid() is not None:
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
    configure_logging(service="carillon", level="WARNING", format="console", lasting=False)
    try:
        code = asyncio.run(command())
    except SetupError as error:
        print(error, file=sys.stderr)
        code = _SETUP_ERROR_CODE
    except KeyboardInterrupt:
        code = 130
    raise typer.Exit(code)
