"""What only the PostgreSQL transport promises."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from shared.broker.postgres import leases
from shared.broker.postgres.broker import PostgresBroker
from tests.builders import a_message
from tests.integration.broker.conftest import PATIENCE_S, alive, eventually, nothing_comes, take

LANE = "email.queue"


@pytest.fixture
async def broker(database_url: str) -> AsyncIterator[PostgresBroker]:
    broker = PostgresBroker(database_url, client_name="test")
    await broker.start(wait_s=PATIENCE_S)
    yield broker
    await broker.close()


@pytest.fixture
async def database(database_url: str, broker: PostgresBroker) -> AsyncIterator["asyncpg.Connection"]:
    """Somebody else in the same database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_a_database_that_does_not_exist_is_created_by_whoever_comes_first(
    postgres_server: EmbeddedPostgres,
) -> None:
    name = f"test_{uuid4().hex}"
    brokers = [PostgresBroker(postgres_server.database_url(name), client_name="test") for _ in range(4)]
    try:
        await asyncio.gather(*(broker.start(wait_s=PATIENCE_S) for broker in brokers))
        for broker in brokers:
            (receipt,) = await broker.publish([a_message()])
            assert receipt.error is None
        assert (await brokers[0].queue_state(LANE)).depth == 4
    finally:
        await asyncio.gather(*(broker.close() for broker in brokers))
        postgres_server.run_sql(f"DROP DATABASE {name} WITH (FORCE)")


async def test_garbage_in_the_headers_does_not_stop_a_message(
    broker: PostgresBroker, database: "asyncpg.Connection"
) -> None:
    odd = (b"\xff", b"[1]", b'{"number": 7, "correlation_id": "kept", "x-own": "no"}', b"")
    for headers in odd:
        await database.execute(
            "INSERT INTO broker.messages (queue, body, headers) VALUES ($1, 'body', $2)", LANE, headers
        )

    taken = await take(broker.consume(LANE, prefetch=9), 4)

    assert [d.headers for d in taken] == [{}, {}, {"correlation_id": "kept"}, {}]


async def test_a_lease_is_renewed_while_its_holder_works(
    broker: PostgresBroker, database: "asyncpg.Connection"
) -> None:
    await broker.publish([a_message()])
    await take(broker.consume(LANE, prefetch=1))
    # As if nearly all of the thirty seconds had passed.
    await database.execute("UPDATE broker.messages SET available_at = now() + interval '1 second'")

    await broker.leases.renew_all()

    left_s = await database.fetchval("SELECT extract(epoch FROM available_at - now()) FROM broker.messages")
    assert left_s > leases.LEASE_S - 2


async def test_a_lease_that_ran_out_is_taken_over_and_fences_its_former_holder(
    broker: PostgresBroker, database: "asyncpg.Connection", database_url: str
) -> None:
    await broker.publish([a_message()])
    frozen = broker.consume(LANE, prefetch=1)
    (stale,) = await take(frozen)
    frozen.pause()
    await database.execute("UPDATE broker.messages SET available_at = now() - interval '1 second'")
    other = PostgresBroker(database_url, client_name="other")
    await other.start(wait_s=PATIENCE_S)
    (fresh,) = await take(other.consume(LANE, prefetch=1))
    assert fresh.deliveries == 2

    await stale.ack()
    await broker.leases.renew_all()
    assert await database.fetchval("SELECT count(*) FROM broker.messages") == 1

    await fresh.ack()
    await other.close()
    assert await database.fetchval("SELECT count(*) FROM broker.messages") == 0


async def test_what_is_handed_back_keeps_its_place_in_the_queue(
    broker: PostgresBroker, database_url: str
) -> None:
    await broker.publish([a_message(body=str(n).encode()) for n in range(6)])
    first = broker.consume(LANE, prefetch=3)
    await take(first, 1)
    await first.close()

    taken = await take(broker.consume(LANE, prefetch=9), 5)

    assert [d.body for d in taken] == [b"1", b"2", b"3", b"4", b"5"]
    assert [d.deliveries for d in taken] == [1] * 5


async def test_a_session_that_the_server_ends_is_replaced(
    broker: PostgresBroker, database: "asyncpg.Connection"
) -> None:
    consumer = broker.consume(LANE, prefetch=1)
    await alive(consumer)

    ended = await database.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert ended == 3

    async def published() -> bool:
        (receipt,) = await broker.publish([a_message()])
        return receipt.error is None

    await eventually(published)
    await take(consumer)


async def test_a_lost_notification_costs_a_second_and_no_message(
    broker: PostgresBroker, database: "asyncpg.Connection"
) -> None:
    consumer = broker.consume(LANE, prefetch=1)
    await alive(consumer)
    await asyncio.sleep(0.1)
    await database.execute(
        "INSERT INTO broker.messages (queue, body, headers) VALUES ($1, 'unannounced', '{}')", LANE
    )

    (delivery,) = await take(consumer, within_s=2.5)

    assert delivery.body == b"unannounced"


async def test_a_backlog_is_taken_through_the_index(
    broker: PostgresBroker, database: "asyncpg.Connection"
) -> None:
    await database.execute(
        "INSERT INTO broker.messages (queue, body, headers)"
        " SELECT $1, 'body', '{}' FROM generate_series(1, 100000)",
        LANE,
    )
    consumer = broker.consume(LANE, prefetch=50)

    async with asyncio.timeout(3):
        for _ in range(2000):
            (delivery,) = await take(consumer)
            await delivery.ack()


async def test_the_dead_are_found_by_their_lock_alone(
    broker: PostgresBroker, database: "asyncpg.Connection", database_url: str
) -> None:
    await broker.publish([a_message()])
    living = PostgresBroker(database_url, client_name="living")
    await living.start(wait_s=PATIENCE_S)
    await take(living.consume(LANE, prefetch=1))
    heir = broker.consume(LANE, prefetch=1)
    await alive(heir)

    await broker.leases.free_the_dead()
    assert await nothing_comes(heir, for_s=0.3)

    await database.execute("UPDATE broker.messages SET holder = -1")
    await broker.leases.free_the_dead()
    await take(heir)
    await living.close()


async def test_each_process_keeps_to_three_sessions(
    broker: PostgresBroker, database: "asyncpg.Connection", database_url: str
) -> None:
    for queue in (LANE, "email.urgent.queue", "email.bulk.queue"):
        await alive(broker.consume(queue, prefetch=5))
    broker.subscribe()
    await broker.publish([a_message()])

    sessions = await database.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'test %'",
        urlsplit(database_url).path.lstrip("/"),
    )
    assert sessions == 3
