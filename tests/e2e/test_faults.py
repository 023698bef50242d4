"""What happens to what was accepted while parts of the system die, hang or are away."""

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from uuid import uuid4

import httpx
import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from carillon.plan import BROKER_DATABASE
from tests import servers
from tests.e2e.installation import Installation, eventually, running_installation


@pytest.fixture(scope="module")
def postgres() -> Iterator[EmbeddedPostgres]:
    with servers.server_folder() as folder, servers.running_postgres(folder, durable=True) as server:
        yield server


@pytest.fixture(scope="module")
def fragile(postgres: EmbeddedPostgres) -> Iterator[Installation]:
    """On a PostgreSQL server in the test's hands, which is the broker, too."""
    with (
        servers.server_folder() as folder,
        running_installation(folder, CARILLON_DATABASE_URL=postgres.url) as installation,
    ):
        yield installation


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[EmbeddedRabbitMQ]:
    with servers.server_folder() as folder, servers.running_rabbitmq(folder) as server:
        yield server


@pytest.fixture(scope="module")
def fragile_on_rabbitmq(postgres: EmbeddedPostgres, rabbitmq: EmbeddedRabbitMQ) -> Iterator[Installation]:
    with (
        servers.server_folder() as folder,
        servers.running_postgres(folder, durable=True) as own,
        running_installation(
            folder, CARILLON_DATABASE_URL=own.url, CARILLON_BROKER_URL=rabbitmq.url()
        ) as installation,
    ):
        yield installation


def is_healthy(installation: Installation, port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{installation.url(port)}/health", timeout=2).status_code == 200
    return False


def is_ready(installation: Installation, port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{installation.url(port)}/ready", timeout=5).status_code == 200
    return False


def test_a_gateway_killed_between_commit_and_publish_twenty_times_loses_nothing(
    fragile: Installation, postgres: EmbeddedPostgres
) -> None:
    """The broker is shut while each notification is accepted, so that every kill comes before its publish."""
    user_id, code = fragile.recipient(), fragile.template()
    accepted = []
    for _ in range(20):
        postgres.run_sql(f"alter database {BROKER_DATABASE} with allow_connections false")
        postgres.run_sql(
            f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{BROKER_DATABASE}'"
        )
        accepted.append(fragile.notify(user_id, code))
        fragile.kill("gateway")
        postgres.run_sql(f"alter database {BROKER_DATABASE} with allow_connections true")
        killed_at = time.monotonic()
        eventually(lambda: is_healthy(fragile, 8000), bool, within_s=15)
        assert time.monotonic() - killed_at < 15

    for notification_id in accepted:
        found = fragile.wait_for(notification_id, within_s=60)
        assert len(found["attempts"]) == 1
        assert not found["possible_duplicate"]


@pytest.mark.parametrize(
    ("name", "port"), [("gateway", 8000), ("user", 8001), ("template", 8004), ("email", 8002), ("push", 8003)]
)
def test_a_service_that_is_killed_is_back_and_nothing_is_lost(
    fragile: Installation, name: str, port: int
) -> None:
    user_id, code = fragile.recipient(), fragile.template()
    before = [fragile.notify(user_id, code) for _ in range(20)]

    old = fragile.pid(name)
    fragile.kill(name)

    eventually(lambda: is_healthy(fragile, port), bool, within_s=15)
    eventually(lambda: fragile.pid(name), lambda pid: pid != old, within_s=5)
    for notification_id in [*before, fragile.notify(user_id, code)]:
        fragile.wait_for(notification_id, within_s=60)


def test_postgresql_away_is_a_503_at_once_and_recovers_without_a_restart(
    fragile: Installation, postgres: EmbeddedPostgres
) -> None:
    user_id, code = fragile.recipient(), fragile.template()
    body = {
        "user_id": user_id,
        "notification_type": "email",
        "template_code": code,
        "variables": {"name": "Ann"},
    }
    fragile.wait_for(fragile.notify(user_id, code))
    gateway = fragile.pid("gateway")
    key = {"Idempotency-Key": uuid4().hex}
    postgres.stop()
    try:
        began = time.monotonic()
        answer = fragile.api.post("/notifications", json=body, headers=key)
        took = time.monotonic() - began
    finally:
        postgres.start()

    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert int(answer.headers["Retry-After"]) >= 1
    assert took < 3.5
    again = eventually(
        lambda: fragile.api.post("/notifications", json=body, headers=key),
        lambda answer: answer.status_code == 202,
        within_s=30,
    )
    fragile.wait_for(again.json()["id"], within_s=60)
    assert fragile.pid("gateway") == gateway


def test_rabbitmq_away_goes_on_accepting_and_delivers_when_it_is_back(
    fragile_on_rabbitmq: Installation, rabbitmq: EmbeddedRabbitMQ
) -> None:
    installation = fragile_on_rabbitmq
    user_id, code = installation.recipient(), installation.template()
    installation.wait_for(installation.notify(user_id, code))
    rabbitmq.stop()
    try:
        accepted = [installation.notify(user_id, code) for _ in range(50)]
        not_ready = httpx.get(f"{installation.url(8000)}/ready", timeout=10)
        assert not_ready.status_code == 503
        assert not not_ready.json()["checks"]["broker"]["ok"]
    finally:
        rabbitmq.start()

    for notification_id in accepted:
        found = installation.wait_for(notification_id, within_s=90)
        assert len(found["attempts"]) == 1
    eventually(lambda: is_ready(installation, 8000), bool, within_s=30)
    eventually(lambda: is_ready(installation, 8002), bool, within_s=30)


def test_everything_starts_though_the_mail_server_is_away_and_says_so() -> None:
    with (
        servers.server_folder() as folder,
        running_installation(folder, CARILLON_SMTP_PORT="9") as installation,
    ):
        ready = httpx.get(f"{installation.url(8002)}/ready", timeout=10)

        assert ready.status_code == 503
        checks = ready.json()["checks"]
        assert {name for name, check in checks.items() if not check["ok"]} == {"provider smtp"}
        assert "provider smtp" in installation.log()
        found = installation.notification(
            installation.notify(installation.recipient(), installation.template())
        )
        assert found["status"] in {"accepted", "queued", "sending", "retrying"}
        installation.process.send_signal(signal.SIGTERM)
        assert installation.process.wait(60) == 0
