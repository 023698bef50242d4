"""Where the demo takes place: in the installation that runs here, or in one of its own until it ends."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from carillon.console import MergedLog
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from carillon.home import Home
from carillon.installation import Installation
from carillon.onboarding import Onboarding
from carillon.readiness import not_ready
from carillon.run_record import RunRecord, read_record
from carillon.settings import MAILBOX, PUSH_STANDIN, UpSettings
from carillon.setup_error import SetupError

EMBEDDED, RABBITMQ = "embedded", "rabbitmq"
"""What `--broker` takes besides a URL: PostgreSQL, and a RabbitMQ node of the demo's own."""
_READY_WITHIN_S = 30.0
_CATCHERS = {"email": "the mailbox", "push": "the push stand-in"}
_POSTGRES, _AMQP = ("postgres:", "postgresql:"), ("amqp:", "amqps:")


@dataclass(frozen=True, kw_only=True)
class Venue:
    """A working installation: its key, and the addresses of the gateway and of the tools that catch what it
    sends. `stays`: whether it goes on when the demo has ended."""

    gateway: str
    mailbox: str
    push_standin: str
    api_key: str
    stays: bool


@contextlib.asynccontextmanager
async def venue(
    *,
    settings: UpSettings,
    home: Home,
    broker: str | None,
    hurry: asyncio.Event,
    say: Callable[[str], None],
) -> AsyncIterator[Venue]:
    """The installation that runs in `home`, else one that is started, and stopped at the end; with `hurry`
    set, at once. `broker`: `embedded`, `rabbitmq`, a URL, or None for whichever there is.

    Raises SetupError: where what runs has another broker, is not ready, or sends to real people.
    """
    if home.running_pid() is not None:
        record = await _record(home)
        if not broker_fits(record.broker_url, wanted=broker):
            raise SetupError(
                f"Carillon runs in {home.folder} already, with another broker "
                f"({broker_name(record.broker_url)}): stop it first, or leave --broker away."
            )
        say(f"Using the installation that runs in {home.folder}, with {broker_name(record.broker_url)}.")
        yield await _ready_venue(record, home, stays=True)
        return
    home.open()
    log_path = home.log_path("demo")
    with log_path.open("a") as log, _chosen_broker(settings, broker, say) as chosen:
        installation = Installation(chosen, home, log=MergedLog(log), log_place=str(log_path), hurry=hurry)
        say(f"Starting Carillon in {home.folder}, with {broker_name(chosen.broker_url)} (log: {log_path}).")
        try:
            await installation.start()
            yield await _ready_venue(await _record(home), home, stays=False)
        finally:
            say("Stopping it again.")
            await installation.stop()


def broker_fits(running: str, *, wanted: str | None) -> bool:
    """Whether the broker of a running installation is the one that is wanted. One that is not known never
    is."""
    if wanted is None:
        return True
    if wanted == EMBEDDED:
        return running.startswith(_POSTGRES)
    if wanted == RABBITMQ:
        return running.startswith(_AMQP)
    return running.rstrip("/") == wanted.rstrip("/")


def broker_name(url: str | None) -> str:
    """What to call it, without its password. None is the embedded one."""
    return "RabbitMQ" if url is not None and url.startswith(_AMQP) else "PostgreSQL"


def check_caught(record: RunRecord) -> None:
    """Raises SetupError where messages would leave for a real provider."""
    missed = [name for name in _CATCHERS if name not in record.caught]
    if missed:
        raise SetupError(
            f"The demo writes to people who do not exist, and looks for its messages in "
            f"{' and '.join(_CATCHERS.values())}; but this installation sends {' and '.join(missed)} to a "
            "provider outside: unset CARILLON_SMTP_… and CARILLON_FCM_…, and start it again."
        )


async def _ready_venue(record: RunRecord, home: Home, *, stays: bool) -> Venue:
    check_caught(record)
    complaints = await not_ready(record.addresses, timeout_s=_READY_WITHIN_S)
    if complaints:
        raise SetupError(f"The installation is not ready: {'; '.join(complaints)}.")
    onboarding = Onboarding(url=record.addresses["user"], service_secret=home.secret("service_secret"))
    credentials = await onboarding.first_credentials(home)
    return Venue(
        gateway=record.addresses["gateway"],
        mailbox=record.addresses[MAILBOX],
        push_standin=record.addresses[PUSH_STANDIN],
        api_key=credentials.api_key,
        stays=stays,
    )


async def _record(home: Home) -> RunRecord:
    """That of the run in `home`, which is written once its processes have been started."""
    for _ in range(int(_READY_WITHIN_S)):
        record = read_record(home.run_record)
        if record is not None and home.running_pid() == record.pid:
            return record
        await asyncio.sleep(1)
    raise SetupError(f"What runs in {home.folder} does not say where it answers: start it again.")


@contextlib.contextmanager
def _chosen_broker(
    settings: UpSettings, broker: str | None, say: Callable[[str], None]
) -> Iterator[UpSettings]:
    """The settings with the broker that is wanted; a node of our own runs for as long as this does."""
    if broker == EMBEDDED:
        yield settings.model_copy(update={"broker_url": None})
        return
    if broker != RABBITMQ:
        yield settings
        return
    # The node's account has to reach its folder, and cannot look into the installation's.
    folder = Path(tempfile.mkdtemp(prefix="carillon-rabbitmq-"))
    folder.chmod(0o755)
    node = EmbeddedRabbitMQ(folder=folder)
    try:
        say("Starting RabbitMQ.")
        node.start()
        yield settings.model_copy(update={"broker_url": node.url()})
    finally:
        node.close()
        shutil.rmtree(folder, ignore_errors=True)
