"""What the broker has taken is noted a moment later, and truthfully."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from gateway_service.messaging.postmarks import Postmarks
from gateway_service.storage.outbox import claim_unpublished
from shared.database.engine import Database
from shared.process.identifiers import uuid7
from tests.builders import a_delivery_report
from tests.integration.gateway.conftest import Gateway, eventually


@pytest.fixture
async def narrow(migrated_url: str) -> AsyncIterator[Database]:
    """A database with one connection for all."""
    database = Database(migrated_url, pool_size=1)
    await database.start()
    yield database
    await database.close()


async def an_open_run(database: Database) -> UUID:
    identifier = uuid7()
    async with database.connection() as connection:
        await connection.execute(
            """
            INSERT INTO notifications (id, owner, notification_type, template_code, variables, priority, lane,
                category, metadata, status, test, correlation_id, created_at, updated_at, timeline)
            VALUES ($1, $1, 'email', 't', '{}', 5, 'normal', 'transactional', '{}', 'accepted', false, 'c',
                now(), now(), '[]')
            """,
            identifier,
        )
        await connection.execute(
            "INSERT INTO outbox (notification_id, run, channel, lane, due_at, next_at) "
            "VALUES ($1, 1, 'email', 'normal', now(), now())",
            identifier,
        )
    return identifier


async def noted_at(database: Database) -> datetime | None:
    async with database.connection() as connection:
        noted: datetime | None = await connection.fetchval("SELECT published_at FROM outbox")
        return noted


async def test_the_timeline_is_in_the_order_of_its_times(gateway: Gateway) -> None:
    """A report that comes after the note, of what happened before it."""
    answer = (await gateway.post(gateway.a_request())).json()
    identifier = UUID(answer["id"])

    async def status() -> object:
        return (await gateway.get(f"/{identifier}")).json()["status"]

    async def is_queued() -> bool:
        return await status() == "queued"

    async def is_sent() -> bool:
        return await status() == "sent"

    await eventually(is_queued)
    sent_at = datetime.fromisoformat(answer["created_at"]) + timedelta(seconds=0.25)
    await gateway.report(a_delivery_report(notification_id=identifier, occurred_at=sent_at))
    await eventually(is_sent)
    timeline = (await gateway.get(f"/{identifier}")).json()["timeline"]
    assert [entry["at"] for entry in timeline] == sorted(entry["at"] for entry in timeline)


async def test_a_stop_in_the_middle_of_a_note_does_not_forget_it(narrow: Database) -> None:
    postmarks = Postmarks(narrow, ask_after_s=60)
    postmarks.add([(await an_open_run(narrow), 1)], since=time.monotonic() - 1)
    async with narrow.connection():
        running = asyncio.create_task(postmarks.run())
        await asyncio.sleep(0.3)  # by then it waits for the one connection
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    await postmarks.write()
    assert await noted_at(narrow) is not None


async def test_what_is_noted_is_never_later_than_it_was(narrow: Database) -> None:
    postmarks = Postmarks(narrow, ask_after_s=60)
    identifier = await an_open_run(narrow)
    async with narrow.connection() as connection:
        published: datetime = await connection.fetchval("SELECT clock_timestamp()")
        postmarks.add([(identifier, 1)], since=time.monotonic())
        writing = asyncio.create_task(postmarks.write())
        await asyncio.sleep(0.4)
    await writing
    noted = await noted_at(narrow)
    assert noted is not None
    assert noted - published < timedelta(seconds=0.2)


async def test_what_a_report_has_closed_is_not_noted(narrow: Database) -> None:
    postmarks = Postmarks(narrow, ask_after_s=60)
    identifier = await an_open_run(narrow)
    postmarks.add([(identifier, 1)], since=time.monotonic())
    postmarks.forget([(identifier, 1)])
    await postmarks.write()
    assert await noted_at(narrow) is None


async def test_what_somebody_else_is_moving_is_left_alone_and_noted_after_it(
    narrow: Database, migrated_url: str
) -> None:
    identifier = await an_open_run(narrow)
    other = Database(migrated_url, pool_size=1)
    await other.start()
    postmarks = Postmarks(other, ask_after_s=60)
    postmarks.add([(identifier, 1)], since=time.monotonic())
    async with narrow.transaction() as connection:
        await connection.execute("SELECT FROM notifications WHERE id = $1 FOR UPDATE", identifier)
        async with asyncio.timeout(1):  # it waits for nobody
            await postmarks.write()
        assert await connection.fetchval("SELECT published_at FROM outbox") is None
    await postmarks.write()
    await other.close()
    assert await noted_at(narrow) is not None


async def test_the_sweep_takes_urgent_entries_before_older_ones(narrow: Database) -> None:
    older, urgent = await an_open_run(narrow), await an_open_run(narrow)
    async with narrow.connection() as connection:
        await connection.execute("UPDATE outbox SET lane = 'urgent' WHERE notification_id = $1", urgent)
        await connection.execute(
            "UPDATE outbox SET next_at = now() - interval '1 minute' WHERE notification_id = $1", older
        )
        assert await claim_unpublished(connection, limit=1) == [(urgent, 1)]
        assert await claim_unpublished(connection, limit=5) == [(older, 1)]
