"""PostgreSQL or the broker away: what can go on does, and the rest is said in time."""

import asyncio
import time

import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from shared.database.migrations import ensure_database, migrate
from tests.builders import a_delivery_report
from tests.fakes.peers import FakePeers
from tests.integration.gateway.conftest import MIGRATIONS, eventually, running_gateway


async def test_without_postgresql_503_soon_and_no_restart_after(
    private_postgres: EmbeddedPostgres, second_database_url: str, peers: FakePeers
) -> None:
    url = private_postgres.database_url("gateway_db")
    await ensure_database(url)
    await migrate(url, MIGRATIONS)
    async with running_gateway(url, second_database_url, peers, database_timeout_s=2.0) as gateway:
        assert (await gateway.post(gateway.a_request())).status_code == 202
        await asyncio.to_thread(private_postgres.kill)
        for path in ("post", "list"):
            began = time.monotonic()
            answer = await (gateway.post(gateway.a_request()) if path == "post" else gateway.get(""))
            assert answer.status_code == 503, answer.text
            assert 1 <= int(answer.headers["Retry-After"]) <= 3
            assert time.monotonic() - began < 10
        assert (await gateway.http.get("/ready")).json()["checks"]["database"]["ok"] is False
        await asyncio.to_thread(private_postgres.start)

        async def accepts() -> bool:
            return (await gateway.post(gateway.a_request())).status_code == 202

        await eventually(accepts)
        assert len(await gateway.released(2)) == 2


async def test_a_report_waits_for_postgresql(
    private_postgres: EmbeddedPostgres, second_database_url: str, peers: FakePeers
) -> None:
    url = private_postgres.database_url("gateway_db")
    await ensure_database(url)
    await migrate(url, MIGRATIONS)
    async with running_gateway(url, second_database_url, peers, database_timeout_s=2.0) as gateway:
        await gateway.post(gateway.a_request())
        [order] = await gateway.released(1)
        await asyncio.to_thread(private_postgres.kill)
        await gateway.report(a_delivery_report(notification_id=order.notification_id))
        await asyncio.sleep(1)
        await asyncio.to_thread(private_postgres.start)

        async def is_sent() -> bool:
            answer = await gateway.get(f"/{order.notification_id}")
            return answer.status_code == 200 and answer.json()["status"] == "sent"

        await eventually(is_sent, within_s=20)


@pytest.mark.rabbitmq
async def test_the_way_there_and_back_over_rabbitmq(
    migrated_url: str, fresh_amqp_url: str, peers: FakePeers
) -> None:
    async with running_gateway(migrated_url, fresh_amqp_url, peers) as gateway:

        async def is_ready() -> bool:
            return bool((await gateway.http.get("/ready")).json()["checks"]["broker"]["ok"])

        await eventually(is_ready)
        answers = await asyncio.gather(*(gateway.post(gateway.a_request()) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {202}
        orders = await gateway.released(50)
        await gateway.report(*(a_delivery_report(notification_id=order.notification_id) for order in orders))

        async def all_sent() -> bool:
            rows = await gateway.sql("SELECT count(*) AS n FROM notifications WHERE status = 'sent'")
            return bool(rows[0]["n"] == 50)

        await eventually(all_sent)
        assert await gateway.count("outbox") == 0
