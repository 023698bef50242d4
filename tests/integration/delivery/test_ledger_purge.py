"""What a ledger deletes when the gateway says that it needs it no more, and what it keeps all the same."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from shared.clients.ledgers import LedgerClient
from shared.contracts.channels import Channel
from shared.database.engine import Connection, Database
from shared.delivery.ledger import Ledger
from shared.delivery.ledger_api import ledger_router
from shared.delivery.ledger_purge import purge
from shared.process.service_tokens import ServiceTokens

OLD = UUID(int=int(datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1000) << 80)
BEFORE = UUID(int=int(datetime(2025, 6, 1, tzinfo=UTC).timestamp() * 1000) << 80)
_ENTER = """
INSERT INTO deliveries (notification_id, run, target, targets, state, correlation_id, unreported_since)
VALUES ($1, $2, $3, 2, $4, 'c', $5::timestamptz)
"""


def old(number: int) -> UUID:
    """An id of long ago."""
    return UUID(int=OLD.int + number)


@pytest.fixture
async def database(ledger_url: str) -> AsyncIterator[Database]:
    """A ledger's."""
    database = Database(ledger_url)
    await database.start()
    yield database
    await database.close()


async def enter(
    database: Database,
    identifier: UUID,
    *,
    run: int = 1,
    target: str = "mail-1",
    state: str = "sent",
    unreported: bool = False,
) -> None:
    since = datetime(2025, 1, 1, tzinfo=UTC) if unreported else None
    async with database.connection() as connection:
        await connection.execute(_ENTER, identifier, run, target, state, since)


async def left(database: Database) -> list[tuple[UUID, int, str]]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM deliveries ORDER BY notification_id, run, target")
    return [(row["notification_id"], row["run"], row["target"]) for row in rows]


async def test_only_what_is_old_has_ended_and_is_known_to_the_gateway_goes(database: Database) -> None:
    ended = ("sent", "failed", "suppressed", "deferred", "expired", "unknown")
    for number, state in enumerate(ended):
        await enter(database, old(number), state=state)
    kept = []
    for number, state in enumerate(("pending", "sending", "retrying"), start=10):
        # Another device, or another run, keeps what has ended: a late copy must find its trace.
        await enter(database, old(number), state=state)
        await enter(database, old(number), target="mail-2")
        await enter(database, old(number), run=2)
        kept += [(old(number), 1, "mail-1"), (old(number), 1, "mail-2"), (old(number), 2, "mail-1")]
    await enter(database, old(20), unreported=True)
    await enter(database, old(20), target="mail-2")
    await enter(database, BEFORE)
    kept += [(old(20), 1, "mail-1"), (old(20), 1, "mail-2"), (BEFORE, 1, "mail-1")]
    ledger = Ledger(database)
    app = FastAPI()
    app.include_router(ledger_router(ledger, database, channel=Channel.EMAIL))
    client = LedgerClient(
        {Channel.EMAIL: "http://email"},
        ServiceTokens("a secret of thirty-two bytes or more", "gateway"),
        transport=httpx.ASGITransport(app),
    )
    assert await client.purge(Channel.EMAIL, before=BEFORE) == len(ended)
    assert await client.purge(Channel.EMAIL, before=BEFORE) == 0
    await client.close()
    assert await left(database) == kept


async def test_it_goes_in_batches_the_oldest_first(database: Database) -> None:
    for number in range(7):
        await enter(database, old(number))
    for expected in (3, 3, 1, 0):
        async with database.connection() as connection:
            assert await purge(connection, before=BEFORE, limit=3) == expected
        remaining = await left(database)
        assert remaining == [(old(number), 1, "mail-1") for number in range(7 - len(remaining), 7)]


async def test_a_batch_costs_as_many_look_ups_as_it_has_rows_however_large_the_ledger(
    database: Database,
) -> None:
    """With statistics that say that all have ended, as they do at night."""
    async with database.connection() as connection:
        await connection.execute(
            """
            INSERT INTO deliveries (notification_id, run, target, targets, state, correlation_id)
            SELECT (substr($1::text, 1, 24) || lpad(to_hex(n), 12, '0'))::uuid, 1, 't', 1, 'sent', 'c'
            FROM generate_series(1, 20_000) AS n
            """,
            str(OLD),
        )
        await connection.execute("ANALYZE deliveries")
        before = await _rows_read(connection)
        assert await purge(connection, before=BEFORE, limit=10) == 10
        assert await _rows_read(connection) - before < 1_000


async def _rows_read(connection: Connection) -> int:
    """Of the ledger, by this session, so far."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    return int(
        await connection.fetchval(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'deliveries'"
        )
    )
