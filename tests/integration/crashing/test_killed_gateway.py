"""A gateway killed at every point of the way, several times at each: what was accepted ends once, and what
got no answer can be asked for again."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

import gateway_service
from carillon.embedded.ports import is_free
from email_service.settings import EmailSettings
from gateway_service.settings import GatewaySettings
from shared.contracts.channels import Channel
from shared.database.engine import Database
from shared.process.crash_points import CrashPoint
from tests.builders import a_recipient, a_template_version
from tests.fakes.peers import FakePeers, served
from tests.integration.crashing.conftest import settings_for
from tests.integration.crashing.scene import eventually
from tests.integration.crashing.service_process import ForkedProcess, start_process
from tests.integration.crashing.sink import Sink
from tests.servers import MigratedDatabases

KILLS = 3
MIGRATIONS = Path(gateway_service.__file__).parent / "storage" / "migrations"
PERSON = a_recipient()
VANISHING = a_template_version(code="vanishing")
"""The gateway is told of its version 1, which nobody has when the worker asks for it."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is asked for: when it is due, and what it says."""

    due_in: timedelta | None = None
    says: dict[str, Any]

    def body(self) -> dict[str, Any]:
        """Of a notification."""
        due = None if self.due_in is None else (datetime.now(UTC) + self.due_in).isoformat()
        return {"user_id": str(PERSON.id), "notification_type": "email", "scheduled_at": due, **self.says}


WORDS = {"content": {"subject": "Hello", "body": "Hello Ann"}}
AT_ONCE = Kind(says=WORDS)
SCHEDULED = Kind(says=WORDS, due_in=timedelta(seconds=0.3))
UNDELIVERABLE = Kind(says={"template_code": VANISHING.code, "variables": {}})


@dataclass(kw_only=True)
class Wish:
    """What a client asks for until it is answered, with the same key each time: `count` notifications, whose
    ids it learns then."""

    path: str
    body: dict[str, Any]
    count: int
    key: str = field(default_factory=lambda: uuid4().hex)
    ids: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class House:
    """A gateway that may die, with all that it needs; the email service beside it lives."""

    settings: GatewaySettings
    client: httpx.AsyncClient
    database: Database
    log: Path
    _started: list[ForkedProcess] = field(default_factory=list)

    async def gateway(self, *, crash_at: str | None) -> ForkedProcess:
        """Start one; it answers, or has died already of what the one before left behind."""
        process = start_process(self.settings.model_copy(update={"crash_at": crash_at}), log=self.log)
        self._started.append(process)

        async def answers() -> bool:
            try:
                return (await self.client.get("/health")).is_success
            except httpx.TransportError:
                return not process.is_alive

        await eventually(answers)
        return process

    async def ask(self, wish: Wish) -> None:
        """Once; no answer is no error."""
        try:
            answer = await self.client.post(
                f"/api/v1{wish.path}", json=wish.body, headers={"Idempotency-Key": wish.key}
            )
        except httpx.TransportError:
            return
        assert answer.status_code == 202, answer.text
        said = answer.json()
        wish.ids = [said["id"]] if "id" in said else [result["id"] for result in said["results"]]

    async def shown(self, notification_id: str) -> dict[str, Any]:
        """As the API shows it."""
        answer = await self.client.get(f"/api/v1/notifications/{notification_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def pass_time(self) -> None:
        """What a dead gateway had claimed is due again."""
        async with self.database.connection() as connection:
            await connection.execute("UPDATE outbox SET next_at = now() WHERE published_at IS NULL")

    async def stand_there(self, ids: Sequence[str], status: str) -> bool:
        """Whether all of them have the status, as the database has it: asked time and again."""
        async with self.database.connection() as connection:
            there = await connection.fetchval(
                "SELECT count(*) FROM notifications WHERE id = ANY($1::uuid[]) AND status = $2", ids, status
            )
        return bool(there == len(set(ids)))

    async def failed(self) -> list[str]:
        """The notifications with a row of a failure, as often as they have one."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT notification_id FROM failed")
        return sorted(str(row["notification_id"]) for row in rows)

    def clear(self) -> None:
        """End whatever is left."""
        while self._started:
            self._started.pop().remove()


@pytest.fixture
def gateway_url(migrated_databases: MigratedDatabases) -> Iterator[str]:
    """A gateway's database."""
    with migrated_databases.fresh(MIGRATIONS) as url:
        yield url


@pytest.fixture
async def house(
    gateway_url: str, ledger_url: str, broker_url: str, sink: Sink, tmp_path: Path
) -> AsyncIterator[House]:
    """On each transport."""
    peers = FakePeers(recipients={PERSON.id: PERSON}, templates={VANISHING.code: VANISHING})
    key = peers.add_key(scopes=("notifications:send", "notifications:read"))
    gateway_port, email_port = lasting_port(), lasting_port()
    database = Database(gateway_url)
    await database.start()
    with served(peers) as peers_url:
        surroundings = settings_for(ledger_url=ledger_url, broker_url=broker_url, peers_url=peers_url)
        email = EmailSettings.model_validate(surroundings | {"port": email_port, "smtp_port": sink.port})
        email_url = f"http://127.0.0.1:{email_port}"
        settings = GatewaySettings.model_validate(
            {
                "environment": "test",
                "database_url": gateway_url,
                "broker_url": broker_url,
                "user_service_url": peers_url,
                "template_service_url": peers_url,
                "channel_urls": dict.fromkeys(Channel, email_url),
                "redis_url": "redis://127.0.0.1:1/0",
                "sweep_interval_s": 0.2,
                "ask_after_s": 2.0,
                "port": gateway_port,
            }
        )
        service = start_process(email, log=tmp_path / "email.log")
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{gateway_port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=20,
            trust_env=False,
        ) as client:
            made = House(settings=settings, client=client, database=database, log=tmp_path / "gateway.log")
            try:
                yield made
            finally:
                made.clear()
                service.remove()
    await database.close()


@pytest.mark.parametrize(
    ("point", "kind"),
    [
        (CrashPoint.ACCEPT_COMMITTED, AT_ONCE),
        (CrashPoint.RELAY_CONFIRMED, AT_ONCE),
        (CrashPoint.SWEEP_CLAIMED, SCHEDULED),
        (CrashPoint.REPORTS_COMMITTED, AT_ONCE),
    ],
)
async def test_killed_several_times_it_has_everything_sent_once(
    house: House, sink: Sink, point: CrashPoint, kind: Kind
) -> None:
    ids = await storm(house, point, kind, status="sent")

    assert sink.copies == Counter(f"{notification_id}.1" for notification_id in ids)
    assert await house.failed() == []


async def test_killed_while_it_parks_it_parks_everything_once(house: House, sink: Sink) -> None:
    ids = await storm(house, CrashPoint.FAILURE_COMMITTED, UNDELIVERABLE, status="failed")

    assert not sink.copies
    assert await house.failed() == sorted(ids)


async def storm(house: House, point: CrashPoint, kind: Kind, *, status: str) -> list[str]:
    """Kill, time and again, while clients ask; all that they were promised, once it has the status."""
    asked: list[Wish] = []
    for number in range(KILLS):
        gateway = await house.gateway(crash_at=f"{point}:{1 + number % 2}")
        while gateway.is_alive:
            wishes = [a_wish(kind) for _ in range(2)] if number < KILLS / 2 else [a_batch(kind)]
            asked += wishes
            await asyncio.gather(*(house.ask(wish) for wish in wishes))
            await asyncio.sleep(0.2)
        await gateway.dies()
    survivor = await house.gateway(crash_at=None)
    await asyncio.gather(*(house.ask(wish) for wish in asked if not wish.ids))
    await house.pass_time()
    ids = [notification_id for wish in asked for notification_id in wish.ids]

    async def all_ended() -> bool:
        return await house.stand_there(ids, status)

    await eventually(all_ended)
    shown = [await house.shown(notification_id) for notification_id in ids]
    await survivor.stop()
    assert {notification["status"] for notification in shown} == {status}
    assert len(set(ids)) == sum(wish.count for wish in asked)
    assert not any(notification["possible_duplicate"] for notification in shown)
    return ids


def lasting_port() -> int:
    """One that stays free between two gateways: below those that the kernel gives to connections."""
    while True:
        port = random.randrange(10_000, 32_000)
        if is_free(port, "127.0.0.1"):
            return port


def a_wish(kind: Kind) -> Wish:
    return Wish(path="/notifications", body=kind.body(), count=1)


def a_batch(kind: Kind) -> Wish:
    return Wish(path="/notifications/batch", body={"notifications": [kind.body(), kind.body()]}, count=2)
