"""What the gauges tell of lanes, doubts and consumers, and that they keep silent when nobody can know."""

from collections.abc import Iterator
from math import isnan
from urllib.parse import urlsplit

import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from gateway_service.messaging.housekeeping import Housekeeping
from gateway_service.storage.backlog import MOST_COUNTED, count_unknown, oldest_due
from shared.broker.topology import FAILED_QUEUE, REPORTS_QUEUE
from shared.database.engine import Connection, Database
from shared.database.errors import DatabaseUnavailable
from shared.process.clock import SystemClock
from shared.process.metrics import REGISTRY
from tests.integration.gateway.conftest import Gateway, eventually

_RUNS = """
INSERT INTO outbox (notification_id, run, channel, lane, due_at, next_at, published_at)
SELECT gen_random_uuid(), 1, $1, $2, now() - $3 * interval '1 second', now() + interval '1 day', now()
FROM generate_series(1, $4)
"""
_NOTIFICATIONS = """
INSERT INTO notifications (id, owner, notification_type, variables, priority, lane, category, metadata,
    status, test, correlation_id, created_at, updated_at, timeline)
SELECT gen_random_uuid(), gen_random_uuid(), 'email', '{}', 5, 'normal', 'transactional', '{}',
    $1, false, 'c', now(), now(), '[]' FROM generate_series(1, $2)
"""


def told(name: str, **labels: str) -> float | None:
    """What Prometheus would read."""
    return REGISTRY.get_sample_value(f"carillon_{name}", labels)


async def rows_read(connection: Connection) -> int:
    """From the tables that grow, so far."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    read = await connection.fetchval(
        """
        SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) + (
            SELECT sum(idx_tup_read) FROM pg_stat_user_indexes
            WHERE relname = 'outbox' OR relname LIKE 'notifications%'
        ) FROM pg_stat_user_tables WHERE relname = 'outbox' OR relname LIKE 'notifications%'
        """
    )
    return int(read)


@pytest.fixture
def allow_connections(postgres_server: EmbeddedPostgres, second_database_url: str) -> Iterator[str]:
    """The broker's database, which takes connections again after the test."""
    name = urlsplit(second_database_url).path.lstrip("/")
    yield name
    postgres_server.run_sql(f"alter database {name} allow_connections true")


async def test_the_oldest_of_each_lane_and_all_doubts_are_told(migrated_url: str) -> None:
    database = Database(migrated_url, timeout_s=20)
    await database.start()
    async with database.connection() as connection:
        await connection.execute(_RUNS, "email", "urgent", 90.0, 2)
        await connection.execute(_RUNS, "email", "urgent", 700.0, 1)
        await connection.execute(_RUNS, "push", "bulk", -3600.0, 1)  # due in an hour
        await connection.execute(_NOTIFICATIONS, "unknown", 3)
        await connection.execute(_NOTIFICATIONS, "sent", 5)
    await Housekeeping(database, SystemClock()).look()
    urgent = told("oldest_due_seconds", channel="email", lane="urgent")
    assert urgent is not None
    assert 700 <= urgent < 800
    assert told("oldest_due_seconds", channel="push", lane="bulk") == 0
    assert told("oldest_due_seconds", channel="push", lane="normal") == 0
    assert told("notifications_unknown") == 3
    assert told("reprocess_jobs", status="stopped") == 0
    await database.close()


async def test_a_look_reads_a_few_rows_of_many(migrated_url: str) -> None:
    database = Database(migrated_url, timeout_s=20)
    await database.start()
    async with database.connection() as connection:
        for lane in ("urgent", "normal", "bulk"):
            await connection.execute(_RUNS, "email", lane, 60.0, 3_000)
        await connection.execute(_NOTIFICATIONS, "sent", 5_000)
        await connection.execute(_NOTIFICATIONS, "unknown", 20)
        await connection.execute("ANALYZE outbox")
        await connection.execute("ANALYZE notifications")
        before = await rows_read(connection)
        await oldest_due(connection)
        assert await count_unknown(connection) == 20
        assert 0 < await rows_read(connection) - before <= 100
        await connection.execute(_NOTIFICATIONS, "unknown", MOST_COUNTED)
        assert await count_unknown(connection) == MOST_COUNTED
    await database.close()


async def test_what_cannot_be_asked_is_not_told(migrated_url: str) -> None:
    database, away = (
        Database(migrated_url, timeout_s=20),
        Database("postgresql://postgres@127.0.0.1:1/gateway_db"),
    )
    await database.start()
    await away.start()
    await Housekeeping(database, SystemClock()).look()
    assert told("failed_open") == 0
    assert told("oldest_due_seconds", channel="email", lane="normal") == 0
    with pytest.raises(DatabaseUnavailable):
        await Housekeeping(away, SystemClock()).watch()
    for name in ("failed_open", "notifications_unknown", "outbox_oldest_unpublished_seconds"):
        value = told(name)
        assert value is not None
        assert isnan(value)
    assert told("oldest_due_seconds", channel="email", lane="normal") is None
    assert told("reprocess_jobs", status="stopped") is None
    assert told("outbox_entries", state="published") is None
    await Housekeeping(database, SystemClock()).look()
    assert told("failed_open") == 0
    assert told("oldest_due_seconds", channel="email", lane="normal") == 0
    await away.close()
    await database.close()


async def test_a_consumer_that_the_broker_has_lost_is_told(
    postgres_server: EmbeddedPostgres, allow_connections: str, gateway: Gateway
) -> None:
    def consumers() -> list[float | None]:
        return [told("broker_consumer", queue=queue) for queue in (REPORTS_QUEUE, FAILED_QUEUE)]

    async def are_held() -> bool:
        return consumers() == [1, 1]

    async def are_missed() -> bool:
        return consumers() == [0, 0]

    await eventually(are_held)
    postgres_server.run_sql(f"alter database {allow_connections} allow_connections false")
    postgres_server.run_sql(
        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{allow_connections}'"
    )
    await eventually(are_missed)
    assert 'carillon_broker_consumer{queue="reports.queue"} 0.0' in (await gateway.http.get("/metrics")).text
    postgres_server.run_sql(f"alter database {allow_connections} allow_connections true")
    await eventually(are_held, within_s=30)
