"""How far behind each lane is, and how much is in doubt: short looks, at any size of the tables."""

from collections.abc import Mapping
from datetime import timedelta

from shared.contracts.channels import Channel, Lane
from shared.database.engine import Connection

# One short look into the index outbox_lane for each lane, however long the outbox is: no count goes on
# beyond what is asked.
_OVERDUE = """
SELECT asked.channel, asked.lane
FROM unnest($1::text[], $2::text[], $3::float8[]) AS asked (channel, lane, limit_s)
WHERE (
    SELECT count(*) FROM (
        SELECT FROM outbox AS entry
        WHERE entry.channel = asked.channel AND entry.lane = asked.lane
            AND entry.due_at < now() - asked.limit_s * interval '1 second'
        LIMIT $4 + 1
    ) AS older
) > $4
"""


# The first entry of each lane in the index outbox_lane, however long the outbox is.
_OLDEST = """
SELECT asked.channel, asked.lane, greatest(coalesce(extract(epoch FROM now() - (
    SELECT entry.due_at FROM outbox AS entry
    WHERE entry.channel = asked.channel AND entry.lane = asked.lane
    ORDER BY entry.due_at LIMIT 1
)), 0), 0)::float8 AS age_s
FROM unnest($1::text[], $2::text[]) AS asked (channel, lane)
"""

MOST_COUNTED = 10_000
# Out of the index notifications_status, month by month, and no further than is counted.
_UNKNOWN = """
SELECT count(*) FROM (SELECT FROM notifications WHERE status = 'unknown' LIMIT $1) AS doubtful
"""


async def oldest_due(connection: Connection) -> dict[tuple[Channel, Lane], float]:
    """For every lane, how many seconds ago its oldest run fell due that is not closed, by PostgreSQL's clock;
    0 where none is due. Raises DatabaseUnavailable."""
    asked = [(channel.value, lane.value) for channel in Channel for lane in Lane]
    rows = await connection.fetch(_OLDEST, [channel for channel, _ in asked], [lane for _, lane in asked])
    return {(Channel(row["channel"]), Lane(row["lane"])): row["age_s"] for row in rows}


async def count_unknown(connection: Connection) -> int:
    """How many notifications stand as `unknown`; MOST_COUNTED where there are more. Raises
    DatabaseUnavailable."""
    return int(await connection.fetchval(_UNKNOWN, MOST_COUNTED))


async def overdue_lanes(
    connection: Connection, limits: Mapping[Lane, timedelta], *, stragglers: int
) -> set[tuple[Channel, Lane]]:
    """Where more than `stragglers` runs are not closed although they fell due longer ago than the lane's
    limit, by PostgreSQL's clock. Raises DatabaseUnavailable."""
    asked = [(channel, lane, limit) for channel in Channel for lane, limit in limits.items()]
    rows = await connection.fetch(
        _OVERDUE,
        [channel.value for channel, _, _ in asked],
        [lane.value for _, lane, _ in asked],
        [limit.total_seconds() for _, _, limit in asked],
        stragglers,
    )
    return {(Channel(row["channel"]), Lane(row["lane"])) for row in rows}
