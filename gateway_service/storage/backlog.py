"""How much in the outbox is overdue, by channel and lane."""

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
