"""The months into which notifications and targets are divided.

An id is a UUIDv7 (RFC 9562), its first 48 bits the time of its making in milliseconds; so a range of ids
is a range of time, and a look-up by id goes to one month.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from shared.database.engine import Database

MONTHS_AHEAD = 3
PARTITIONED = ("notifications", "targets")
LOCK = "hashtext('gateway.partitions')"
"""The advisory lock of whoever adds or drops months."""


def first_id(at: datetime) -> UUID:
    """The lowest id that could be made at `at`."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def id_bound(at: datetime) -> UUID:
    """As `first_id`, for any time: one before 1970 comes before every id."""
    return first_id(at) if at.timestamp() > 0 else UUID(int=0)


def created_at(identifier: UUID) -> datetime:
    """When an id was made, in UTC, to the millisecond."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)


def months_from(at: datetime, *, months: int) -> Iterator[tuple[datetime, datetime]]:
    """The month of `at` and `months` after it, each as [start, end)."""
    number = at.year * 12 + at.month - 1
    for month in range(number, number + months + 1):
        yield _first_day(month), _first_day(month + 1)


def month_before(at: datetime, *, months: int) -> datetime:
    """The first moment of the month that lies `months` before that of `at`. Raises ValueError before the
    year 1."""
    return _first_day(at.year * 12 + at.month - 1 - months)


def _first_day(month: int) -> datetime:
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)


def partition_statements(at: datetime, *, months: int) -> Iterator[str]:
    """Statements that make what is missing, and may be run by several processes at once.

    A partition is made apart and then attached: that blocks neither reads nor writes of the others.
    """
    for start, end in months_from(at, months=months):
        for table in PARTITIONED:
            name = f"{table}_{start:%Y_%m}"
            yield f"""
            DO $$ BEGIN
                PERFORM pg_advisory_xact_lock({LOCK});
                IF to_regclass('{name}') IS NULL THEN
                    CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS);
                    ALTER TABLE {table} ATTACH PARTITION {name}
                        FOR VALUES FROM ('{first_id(start)}') TO ('{first_id(end)}');
                END IF;
            END $$
            """


async def ensure_partitions(database: Database, at: datetime) -> None:
    """Make the partitions of this month and the next three. Raises DatabaseUnavailable."""
    async with database.connection() as connection:
        for statement in partition_statements(at, months=MONTHS_AHEAD):
            await connection.execute(statement)
