"""A gateway whose clock is wrong: what is due at once is due by PostgreSQL's clock."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from gateway_service.storage.acceptance import Submission, accept
from gateway_service.storage.notifications import Notification
from tests.builders import a_notification

HOUR = timedelta(hours=1)


async def due_in(url: str, notification: Notification) -> timedelta:
    """Seen by PostgreSQL, once it was accepted."""
    connection = await asyncpg.connect(url)
    try:
        assert await accept(connection, [Submission(notification=notification, claim=None)])
        return timedelta(seconds=float(await connection.fetchval(_DUE_IN)))
    finally:
        await connection.close()


_DUE_IN = (
    "SELECT greatest(extract(epoch FROM due_at - now()), extract(epoch FROM next_at - now())) FROM outbox"
)


@pytest.mark.parametrize("wrong_by", [HOUR, -HOUR, timedelta(0)])
async def test_what_is_due_at_once_does_not_wait_for_a_fast_clock(
    migrated_url: str, wrong_by: timedelta
) -> None:
    at = datetime.now(UTC) + wrong_by
    assert await due_in(migrated_url, a_notification(created_at=at, due_at=at)) < HOUR / 2


async def test_what_is_scheduled_waits_for_its_time(migrated_url: str) -> None:
    at = datetime.now(UTC) + HOUR
    assert await due_in(migrated_url, a_notification(scheduled_at=at, due_at=at)) > HOUR / 2
