"""Dropping months that are over: which there are, what holds one back, and what the gateway still keeps.

A month goes with `DROP TABLE` of its two partitions, which needs the whole of `notifications` for a moment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from gateway_service.storage.partitions import (
    LOCK,
    PARTITIONED,
    created_at,
    first_id,
    id_bound,
    month_before,
)
from shared.database.engine import Connection

LOCK_WAIT_MS = 300
"""Whatever comes after us waits for as long as we do: less than anybody notices."""
_MOST_COUNTED = 1_000

# One statement: nobody waits for a round trip of ours while `notifications` is locked. Whoever opens a run,
# or parks a failure, has locked its notification before and holds that to the end of the transaction; so what
# is looked for after the lock is all there is, and nothing comes after it.
_DROP = """
DO $$ BEGIN
    PERFORM set_config('lock_timeout', '{wait_ms}', true);
    PERFORM pg_advisory_xact_lock({lock});
    LOCK TABLE ONLY notifications, ONLY targets IN ACCESS EXCLUSIVE MODE;
    IF NOT EXISTS (SELECT FROM outbox WHERE {within})
        AND NOT EXISTS (SELECT FROM failed WHERE status = 'open' AND {within})
    THEN
        DROP TABLE IF EXISTS {tables};
    END IF;
END $$
"""


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """What somebody or something still has to do about notifications of a month, counted up to 1,000."""

    runs: int
    failures: int


async def stored_months(connection: Connection) -> list[datetime]:
    """The first moments of the months that have a partition, the oldest first."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT substring(child.relname FROM '[0-9]{4}_[0-9]{2}$') AS month
        FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
        WHERE inhparent = ANY($1::text[]::regclass[]) AND child.relname ~ '_[0-9]{4}_[0-9]{2}$'
        ORDER BY month
        """,
        list(PARTITIONED),
    )
    return [datetime.strptime(row["month"], "%Y_%m").replace(tzinfo=UTC) for row in rows]


async def present(connection: Connection, ours: datetime) -> datetime:
    """The time from which months are counted back: the earliest of our clock, PostgreSQL's, and the making of
    the newest notification. One clock that is wrong drops nothing, and a restored backup loses nothing."""
    row = await connection.fetchrow(
        "SELECT least($1, now()) AS at, (SELECT id FROM notifications ORDER BY id DESC LIMIT 1) AS newest",
        ours,
    )
    at: datetime = row["at"]
    return at if row["newest"] is None else min(at, created_at(row["newest"]))


async def unfinished(connection: Connection, month: datetime) -> Unfinished:
    """What holds a month back."""
    row = await connection.fetchrow(
        """
        SELECT
            (SELECT count(*) FROM (
                SELECT FROM outbox WHERE notification_id >= $1 AND notification_id < $2 LIMIT $3
            ) AS found) AS runs,
            (SELECT count(*) FROM (
                SELECT FROM failed
                WHERE status = 'open' AND notification_id >= $1 AND notification_id < $2 LIMIT $3
            ) AS found) AS failures
        """,
        *_bounds(month),
        _MOST_COUNTED,
    )
    return Unfinished(runs=row["runs"], failures=row["failures"])


async def drop_month(connection: Connection, month: datetime) -> bool:
    """Unless something of it is open. False: it is still there, since something is, or since `notifications`
    was not free for `LOCK_WAIT_MS`."""
    low, high = _bounds(month)
    tables = list(_tables(month))
    try:
        await connection.execute(
            _DROP.format(
                wait_ms=LOCK_WAIT_MS,
                lock=LOCK,
                within=f"notification_id >= '{low}' AND notification_id < '{high}'",
                tables=", ".join(tables),
            )
        )
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return False
    gone = await connection.fetchval(
        "SELECT bool_and(to_regclass(name) IS NULL) FROM unnest($1::text[]) AS name", tables
    )
    return bool(gone)


async def count_outside(connection: Connection, *, before: datetime) -> int:
    """Notifications older than `before` that lie in no month, so that dropping months never reaches them;
    counted up to 1,000."""
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM (SELECT FROM notifications_other WHERE id < $1 LIMIT $2) AS found",
            id_bound(before),
            _MOST_COUNTED,
        )
    )


async def oldest_kept(connection: Connection) -> UUID | None:
    """The lowest id about which the gateway might still ask a ledger; None where it keeps nothing."""
    months = await stored_months(connection)
    found = [
        await connection.fetchval("SELECT id FROM notifications_other ORDER BY id LIMIT 1"),
        await connection.fetchval(
            "SELECT notification_id FROM targets_other ORDER BY notification_id LIMIT 1"
        ),
        await connection.fetchval("SELECT notification_id FROM outbox ORDER BY notification_id LIMIT 1"),
        *(first_id(month) for month in months[:1]),
    ]
    return min((identifier for identifier in found if identifier is not None), default=None)


async def forget_closed(connection: Connection, *, before: datetime) -> int:
    """Failures that were closed, jobs that have ended and acts, all from before then; at most 10,000 of each.
    How many rows went."""
    rows = 0
    for table, over in (
        ("failed", "status <> 'open' AND closed_at < $2 AND (job_id IS NULL OR outcome IS NOT NULL)"),
        ("reprocess_jobs", "NOT active AND status <> 'paused' AND updated_at < $2"),
        ("operator_acts", "at < $2"),
    ):
        rows += await connection.fetchval(
            f"""
            WITH gone AS (
                DELETE FROM {table} WHERE id IN (
                    SELECT id FROM {table} WHERE id < $1 AND {over} ORDER BY id LIMIT 10000
                ) RETURNING 1
            ) SELECT count(*) FROM gone
            """,  # noqa: S608
            id_bound(before),
            before,
        )
    return rows


def _bounds(month: datetime) -> tuple[UUID, UUID]:
    return first_id(month), first_id(month_before(month, months=-1))


def _tables(month: datetime) -> Iterator[str]:
    for table in PARTITIONED:
        yield f"{table}_{month:%Y_%m}"
