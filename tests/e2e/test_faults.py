"""What happens to what was accepted while parts of the system die, hang or are away."""

import time
from contextlib import suppress
from functools import partial
from uuid import uuid4

import httpx

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from carillon.plan import BROKER_DATABASE
from tests.e2e.installation import Installation, eventually

SERVICES = (("gateway", 8000), ("user", 8001), ("template", 8004), ("email", 8002), ("push", 8003))
BACK_WITHIN_S = 20.0
"""On a machine that has other tests to run as well; by itself it takes two or three."""
SOON_S = 10.0
"""A good deal less than any time-out but the database's own, which is 2 s: see scenario 8 of `carillon prove`
for what an installation that has the machine for itself promises."""


def is_healthy(installation: Installation, port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{installation.url(port)}/health", timeout=2).status_code == 200
    return False


def is_ready(installation: Installation, port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{installation.url(port)}/ready", timeout=5).status_code == 200
    return False


def test_a_gateway_killed_between_commit_and_publish_time_and_again_loses_nothing(
    on_postgres: Installation, postgres: EmbeddedPostgres
) -> None:
    """The broker is shut while each notification is accepted, so that every kill comes before its publish.
    (tests/integration/crashing kills it at every point of the way, and more often.)"""
    user_id, code = on_postgres.recipient(), on_postgres.template()
    accepted = []
    connections = f"from pg_stat_activity where datname = '{BROKER_DATABASE}'"
    for _ in range(5):
        postgres.run_sql(f"alter database {BROKER_DATABASE} with allow_connections false")
        postgres.run_sql(f"select pg_terminate_backend(pid) {connections}")
        eventually(lambda: postgres.run_sql(f"select count(*) {connections}"), "0".__eq__, within_s=5)
        accepted.append(on_postgres.notify(user_id, code))
        on_postgres.kill("gateway")
        postgres.run_sql(f"alter database {BROKER_DATABASE} with allow_connections true")
        eventually(lambda: is_healthy(on_postgres, 8000), bool, within_s=15)

    for notification_id in accepted:
        found = on_postgres.wait_for(notification_id, within_s=60)
        assert len(found["attempts"]) == 1
        assert not found["possible_duplicate"]


def test_a_service_that_is_killed_comes_back_by_itself_and_nothing_is_lost(on_postgres: Installation) -> None:
    user_id, code = on_postgres.recipient(), on_postgres.template()
    for name, port in SERVICES:
        before = [on_postgres.notify(user_id, code) for _ in range(10)]

        on_postgres.kill(name)
        # `kill` returned with the process gone: whoever answers now is its successor.
        eventually(partial(is_healthy, on_postgres, port), bool, within_s=BACK_WITHIN_S)
        for notification_id in [*before, on_postgres.notify(user_id, code)]:
            on_postgres.wait_for(notification_id, within_s=60)


def test_postgresql_away_is_a_503_soon_and_recovers_without_a_restart(
    on_postgres: Installation, postgres: EmbeddedPostgres
) -> None:
    user_id, code = on_postgres.recipient(), on_postgres.template()
    body = {
        "user_id": user_id,
        "notification_type": "email",
        "template_code": code,
        "variables": {"name": "Ann"},
    }
    on_postgres.wait_for(on_postgres.notify(user_id, code))
    gateway = on_postgres.pid("gateway")
    key = {"Idempotency-Key": uuid4().hex}
    postgres.stop()
    try:
        began = time.monotonic()
        answer = on_postgres.api.post("/notifications", json=body, headers=key)
        took = time.monotonic() - began
    finally:
        postgres.start()

    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert int(answer.headers["Retry-After"]) >= 1
    assert took < SOON_S
    again = eventually(
        lambda: on_postgres.api.post("/notifications", json=body, headers=key),
        lambda answer: answer.status_code == 202,
        within_s=30,
    )
    on_postgres.wait_for(again.json()["id"], within_s=60)
    assert on_postgres.pid("gateway") == gateway


def test_rabbitmq_away_goes_on_accepting_and_delivers_when_it_is_back(
    on_rabbitmq: Installation, rabbitmq: EmbeddedRabbitMQ
) -> None:
    installation = on_rabbitmq
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
