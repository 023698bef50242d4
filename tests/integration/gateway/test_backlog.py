"""What is far behind takes nothing new, and what was accepted before is answered all the same."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from gateway_service.domain.backlog import STRAGGLERS, Backlog
from gateway_service.messaging.backlog import BacklogWatch
from gateway_service.storage.backlog import overdue_lanes
from shared.contracts.channels import Channel, Lane
from shared.contracts.http.notifications import NotificationRequest
from shared.database.engine import Database
from shared.database.errors import DatabaseUnavailable
from shared.process.clock import SystemClock
from tests.integration.gateway.conftest import Gateway, StartGateway, eventually

LIMITS = {Lane.BULK: timedelta(hours=1), Lane.NORMAL: timedelta(hours=2), Lane.URGENT: timedelta(hours=4)}
FULL = "urn:carillon:problem:backlog_full"
_OLD = """
INSERT INTO outbox (notification_id, run, channel, lane, due_at, next_at, published_at)
SELECT gen_random_uuid(), 1, $1, $2, now() - $3::interval, now() + interval '1 day', now()
FROM generate_series(1, $4)
"""


async def put_behind(
    database: Database, lane: Lane, *, by: timedelta, count: int, channel: Channel = Channel.EMAIL
) -> None:
    """So many runs were published long ago and have no end."""
    async with database.connection() as connection:
        await connection.execute(_OLD, channel.value, lane.value, by, count)


async def found(database: Database) -> set[tuple[Channel, Lane]]:
    async with database.connection() as connection:
        return await overdue_lanes(connection, LIMITS, stragglers=STRAGGLERS)


async def test_a_lane_is_full_by_the_age_of_many_and_not_of_a_few(migrated_url: str) -> None:
    database = Database(migrated_url)
    await database.start()
    for lane, limit in LIMITS.items():
        await put_behind(database, lane, by=limit - timedelta(minutes=5), count=1000)
        await put_behind(database, lane, by=limit + timedelta(minutes=5), count=STRAGGLERS)
    assert await found(database) == set()
    await put_behind(database, Lane.NORMAL, by=timedelta(hours=3), count=1)
    await put_behind(database, Lane.BULK, by=timedelta(hours=3), count=101, channel=Channel.PUSH)
    await put_behind(database, Lane.URGENT, by=timedelta(hours=3), count=101, channel=Channel.PUSH)
    assert await found(database) == {(Channel.EMAIL, Lane.NORMAL), (Channel.PUSH, Lane.BULK)}
    async with database.connection() as connection:
        await connection.execute("DELETE FROM outbox WHERE channel = 'email'")
    assert await found(database) == {(Channel.PUSH, Lane.BULK)}
    await database.close()


async def test_a_look_takes_no_longer_for_a_long_outbox(migrated_url: str) -> None:
    database = Database(migrated_url)
    await database.start()
    for lane in Lane:
        await put_behind(database, lane, by=timedelta(minutes=30), count=3_000)
        await put_behind(database, lane, by=timedelta(hours=9), count=3_000)
    async with database.connection() as connection:
        await connection.execute("ANALYZE outbox")
        before = await _rows_read(connection)
        await overdue_lanes(connection, LIMITS, stragglers=STRAGGLERS)
        read = await _rows_read(connection) - before
    assert 0 < read <= 6 * (STRAGGLERS + 1)
    await database.close()


async def _rows_read(connection: object) -> int:
    await connection.execute("SELECT pg_stat_force_next_flush()")  # type: ignore[attr-defined]
    row = await connection.fetchrow(  # type: ignore[attr-defined]
        "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0)"
        " + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'outbox') AS n"
        " FROM pg_stat_user_tables WHERE relname = 'outbox'"
    )
    return int(row["n"])


async def test_a_full_lane_refuses_before_anything_is_written_and_others_go_on(
    gateway: Gateway, start_gateway: StartGateway
) -> None:
    keyed = gateway.a_request(idempotency_key="k1")
    first = await gateway.post(keyed)
    await put_behind(gateway.database, Lane.NORMAL, by=timedelta(hours=3), count=101)
    await put_behind(gateway.database, Lane.BULK, by=timedelta(hours=3), count=101)
    late = await start_gateway()

    async def refuses() -> bool:
        return (await late.post(late.a_request())).status_code == 503

    await eventually(refuses)
    stored = await gateway.count("notifications")
    refused = await late.post(late.a_request(idempotency_key="k2"))
    assert (refused.status_code, refused.json()["type"]) == (503, FULL)
    assert 20 <= int(refused.headers["Retry-After"]) <= 60
    assert (await late.post(late.a_request(category="promotional"))).status_code == 503
    assert await gateway.count("notifications") == stored
    assert await gateway.sql("SELECT FROM idempotency_keys WHERE key = 'k2'") == []

    assert (await late.post(late.a_request(priority=9))).status_code == 202
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert (await late.post(late.a_request(scheduled_at=tomorrow))).status_code == 202
    soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    assert (await late.post(late.a_request(scheduled_at=soon))).status_code == 503

    again = await late.http.post(
        "/api/v1/notifications", json=keyed, headers={"Authorization": f"Bearer {gateway.key}"}
    )
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"

    await _check_batches(gateway, late, first=first, keyed=keyed)


async def _check_batches(
    gateway: Gateway, late: Gateway, *, first: httpx.Response, keyed: dict[str, object]
) -> None:
    async def batch(*entries: object, key: str) -> httpx.Response:
        return await late.http.post(
            "/api/v1/notifications/batch",
            json={"notifications": list(entries)},
            headers={"Authorization": f"Bearer {gateway.key}", "Idempotency-Key": key},
        )

    whole = await batch(late.a_request(), late.a_request(), key="b1")
    assert (whole.status_code, whole.json()["type"]) == (503, FULL)
    assert 20 <= int(whole.headers["Retry-After"]) <= 60
    mixed = await batch(late.a_request(), late.a_request(priority=9), keyed, key="b1")
    assert mixed.status_code == 202
    body = mixed.json()
    assert (body["accepted"], body["rejected"]) == (2, 1)
    assert (body["results"][0]["error"]["type"], body["results"][0]["error"]["status"]) == (FULL, 503)
    assert body["results"][2]["id"] == first.json()["id"]
    assert (await batch(late.a_request(), late.a_request(priority=9), keyed, key="b1")).content == (
        mixed.content
    )


async def test_while_the_database_is_away_what_was_found_last_holds(migrated_url: str) -> None:
    database, away = Database(migrated_url), Database("postgresql://postgres@127.0.0.1:1/gateway_db")
    await database.start()
    await away.start()
    backlog = Backlog(SystemClock())
    request = NotificationRequest.model_validate(
        {"user_id": str(uuid4()), "notification_type": "email", "template_code": "order_shipped"}
    )
    watch = BacklogWatch(database, backlog, LIMITS)
    await put_behind(database, Lane.BULK, by=timedelta(hours=3), count=101)
    await watch.look()
    with pytest.raises(DatabaseUnavailable):
        await BacklogWatch(away, backlog, LIMITS).look()
    assert backlog.refusal(request, in_batch=True) is not None
    assert backlog.refusal(request, in_batch=False) is None
    async with database.connection() as connection:
        await connection.execute("DELETE FROM outbox")
    await watch.look()
    assert backlog.refusal(request, in_batch=True) is None
    await away.close()
    await database.close()
