"""Workers that die on both transports, with a real ledger, a real broker and a real provider."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from email_service.settings import EmailSettings
from push_service.settings import PushSettings
from shared.broker.factory import connect_broker
from shared.contracts.channels import Channel
from shared.contracts.recipients import DeviceTarget
from shared.database.engine import Database
from shared.delivery.ledger import MIGRATIONS, Ledger
from shared.delivery.ledger_rows import TargetKey
from shared.process.tasks import BackgroundTasks
from tests import servers
from tests.builders import a_recipient, a_template_version
from tests.fakes.fcm import FakeFcm
from tests.fakes.peers import FakePeers, served
from tests.integration.crashing.scene import GatewaySide, Scene
from tests.integration.crashing.sink import Sink
from tests.servers import MigratedDatabases

CALL_TIMEOUT_S = 2.5
"""Time-outs by chance, on a machine that is busy, would be doubts that no crash has caused."""
DEVICES = tuple(DeviceTarget(id=uuid4(), platform="android", token=f"token-{n}") for n in range(3))
PERSON = a_recipient(devices=DEVICES)
TEMPLATES = {
    Channel.EMAIL: a_template_version(code="mail"),
    Channel.PUSH: a_template_version(code="push", channel=Channel.PUSH),
}


@pytest.fixture(scope="module")
def vhost_url(rabbitmq_server: EmbeddedRabbitMQ) -> Iterator[str]:
    """One for all tests of a module: to declare the queues takes longer than to empty them."""
    with servers.fresh_vhost(rabbitmq_server) as url:
        yield url


@pytest.fixture(params=["postgres", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    fixture = {"postgres": "second_database_url", "rabbitmq": "vhost_url"}[request.param]
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture(scope="module")
def peers_url() -> Iterator[str]:
    """The user and the template service."""
    templates = {template.code: template for template in TEMPLATES.values()}
    with served(FakePeers(recipients={PERSON.id: PERSON}, templates=templates)) as url:
        yield url


@pytest.fixture
def ledger_url(migrated_databases: MigratedDatabases) -> Iterator[str]:
    """A ledger's database."""
    with migrated_databases.fresh(MIGRATIONS) as url:
        yield url


@pytest.fixture
def surroundings(ledger_url: str, broker_url: str, peers_url: str) -> dict[str, object]:
    """The settings of a worker that say where everything is, and the times that are waited for."""
    return settings_for(ledger_url=ledger_url, broker_url=broker_url, peers_url=peers_url)


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    """The mail server."""
    async with Sink() as running:
        yield running


@pytest.fixture
async def scene(surroundings: dict[str, object], sink: Sink, tmp_path: Path) -> AsyncIterator[Scene]:
    """The email channel."""
    own = {"smtp_port": sink.port, "smtp_timeout_s": CALL_TIMEOUT_S}
    settings = EmailSettings.model_validate(surroundings | own)
    async with opened_scene(settings, Channel.EMAIL, copies=sink.copies_of, log=tmp_path / "log") as opened:
        yield opened


@pytest.fixture
async def push_scene(surroundings: dict[str, object], tmp_path: Path) -> AsyncIterator[Scene]:
    """The push channel, and somebody with three devices."""
    async with FakeFcm() as fcm:
        own = {
            "fcm_url": fcm.url,
            "fcm_credentials_file": fcm.write_account(tmp_path),
            "fcm_timeout_s": CALL_TIMEOUT_S,
        }
        settings = PushSettings.model_validate(surroundings | own)
        copies = copies_of(fcm)
        async with opened_scene(settings, Channel.PUSH, copies=copies, log=tmp_path / "log") as opened:
            yield opened


def settings_for(*, ledger_url: str, broker_url: str, peers_url: str) -> dict[str, object]:
    """The settings that every channel's worker has."""
    return {
        "environment": "test",
        "port": 0,
        "database_url": ledger_url,
        "database_pool_size": 3,
        "broker_url": broker_url,
        "user_service_url": peers_url,
        "template_service_url": peers_url,
        "lease_margin_s": 0.5,
        "sweep_interval_s": 0.2,
        "report_repeat_s": 1.0,
        "stop_grace_s": 5.0,
    }


@asynccontextmanager
async def opened_scene(
    settings: EmailSettings | PushSettings,
    channel: Channel,
    *,
    copies: Callable[[TargetKey], int],
    log: Path,
) -> AsyncIterator[Scene]:
    """With a gateway that listens; no worker runs yet, and none does afterwards."""
    database = Database(settings.database_url, timeout_s=20)
    broker = connect_broker(settings.broker_url, client_name="tests")
    ledger, background = Ledger(database), BackgroundTasks()
    await database.start()
    await ledger.start()
    await broker.start(wait_s=30)
    gateway = GatewaySide(
        channel=channel,
        broker=broker,
        ledger=ledger,
        recipient=PERSON.id,
        template=TEMPLATES[channel].code,
    )
    background.start("gateway", gateway.run)
    opened = Scene(settings=settings, gateway=gateway, copies=copies, log=log)
    try:
        yield opened
    finally:
        opened.clear()
        await background.close()
        await broker.close()
        await ledger.close()
        await database.close()


def copies_of(fcm: FakeFcm) -> Callable[[TargetKey], int]:
    """How many messages came for a target, which is one of `DEVICES`."""
    tokens = {str(device.id): device.token for device in DEVICES}

    def copies(target: TargetKey) -> int:
        found: Counter[tuple[object, object]] = Counter()
        for received in fcm.messages:
            message = received.body["message"]
            assert isinstance(message, dict)
            found[message["data"]["notification_id"], message["token"]] += 1
        return found[str(target.notification_id), tokens[target.target]]

    return copies
