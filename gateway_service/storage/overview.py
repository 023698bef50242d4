"""What the console's first page counts: short looks into indexes, none of them longer than its limit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway_service.storage.partitions import id_bound
from shared.contracts.channels import Channel, Lane
from shared.contracts.http.notification_answers import NotificationStatus
from shared.database.engine import Connection

# Ids begin with the time, so the newest stand together.
_MINUTES = """
SELECT date_trunc('minute', recent.created_at) AS minute, recent.status, count(*) AS count
FROM (
    SELECT created_at, status FROM notifications WHERE id >= $1 ORDER BY id DESC LIMIT $2
) AS recent
GROUP BY 1, 2 ORDER BY 1 DESC
"""

# In the order of the index outbox_lane, so that what is looked at first has waited longest.
_LANES = """
SELECT asked.channel, asked.lane, found.waiting, found.handed_over, found.later, found.oldest_due_s
FROM unnest($1::text[], $2::text[]) AS asked (channel, lane), LATERAL (
    SELECT
        count(*) FILTER (WHERE entry.published_at IS NULL AND entry.due_at <= now()) AS waiting,
        count(*) FILTER (WHERE entry.published_at IS NOT NULL) AS handed_over,
        count(*) FILTER (WHERE entry.published_at IS NULL AND entry.due_at > now()) AS later,
        extract(epoch FROM now() - min(entry.due_at) FILTER (WHERE entry.due_at <= now()))::float8
            AS oldest_due_s
    FROM (
        SELECT due_at, published_at FROM outbox
        WHERE channel = asked.channel AND lane = asked.lane ORDER BY due_at LIMIT $3
    ) AS entry
) AS found
"""

_UNKNOWN = """
SELECT count(*) FROM (SELECT FROM notifications WHERE status = 'unknown' LIMIT $1) AS doubtful
"""


@dataclass(frozen=True, kw_only=True)
class MinuteCount:
    """How many of those accepted in the minute that begins at `minute` stand in `status` now."""

    minute: datetime
    status: NotificationStatus
    count: int


@dataclass(frozen=True, kw_only=True)
class LaneOutbox:
    """Runs of a lane that are not closed: `waiting` to be published, `handed_over` to the broker, and
    `later`, for their time. `oldest_due_s`: for how long the oldest has been due; None where none is."""

    channel: Channel
    lane: Lane
    waiting: int
    handed_over: int
    later: int
    oldest_due_s: float | None

    @property
    def is_empty(self) -> bool:
        """Whether no run is open."""
        return not (self.waiting or self.handed_over or self.later)


async def count_minutes(connection: Connection, *, since: datetime, most: int) -> list[MinuteCount]:
    """Of notifications accepted since then, the newest `most` of them. Raises DatabaseUnavailable."""
    rows = await connection.fetch(_MINUTES, id_bound(since), most)
    return [
        MinuteCount(minute=row["minute"], status=NotificationStatus(row["status"]), count=row["count"])
        for row in rows
    ]


async def count_lanes(
    connection: Connection, lanes: Sequence[tuple[Channel, Lane]], *, most: int
) -> list[LaneOutbox]:
    """In the order that was asked for; the oldest `most` runs of each. Raises DatabaseUnavailable."""
    rows = await connection.fetch(
        _LANES, [channel.value for channel, _ in lanes], [lane.value for _, lane in lanes], most
    )
    found = {
        (row["channel"], row["lane"]): LaneOutbox(
            channel=Channel(row["channel"]),
            lane=Lane(row["lane"]),
            waiting=row["waiting"],
            handed_over=row["handed_over"],
            later=row["later"],
            oldest_due_s=row["oldest_due_s"],
        )
        for row in rows
    }
    return [found[channel.value, lane.value] for channel, lane in lanes]


async def count_doubtful(connection: Connection, *, most: int) -> int:
    """Notifications that are `unknown`, up to `most`. Raises DatabaseUnavailable."""
    return int(await connection.fetchval(_UNKNOWN, most))


def minutes_before(now: datetime, minutes: int) -> datetime:
    """The beginning of the minute that many before the present one."""
    return now.replace(second=0, microsecond=0) - timedelta(minutes=minutes)
