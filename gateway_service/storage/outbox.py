"""The outbox: one entry for each run that is not closed; the ledger's report closes it, not the broker.

`next_at` says when something is to be done about an entry; a claim moves it, by PostgreSQL's clock, so
that of several gateways one acts. Whoever locks an entry and waits for locks at all has locked its
notification before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.contracts.channels import Channel, Lane
from shared.database.engine import Connection

RunKey = tuple[UUID, int]
LEASE_S = 15.0
"""How long a claimed release may take to be published: longer than the broker's time-out."""
_LONGEST_WAIT_S = 900.0

_CLAIM_UNPUBLISHED = """
UPDATE outbox AS entry
SET next_at = now() + $2::float8 * interval '1 second', publish_count = entry.publish_count + 1
FROM (
    SELECT notification_id, run FROM outbox
    WHERE published_at IS NULL AND next_at <= now() {only}
    ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED
) AS due
WHERE entry.notification_id = due.notification_id AND entry.run = due.run
RETURNING entry.notification_id, entry.run
"""
_CLAIM_URGENT = _CLAIM_UNPUBLISHED.format(only="AND lane = 'urgent'")
_CLAIM_ANY = _CLAIM_UNPUBLISHED.format(only="")

# Three statements and not one: with the lock in a WITH of the UPDATE, PostgreSQL 18.4 rechecks rows that
# changed meanwhile through the whole plan, and was seen to crash in it. Each statement sees what is
# committed when it begins, so after the lock nothing changes any more.
_LOCK_FREE = """
SELECT id FROM notifications WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE SKIP LOCKED
"""

_MOVE_TO_QUEUED = """
UPDATE notifications AS n
SET status = 'queued', updated_at = now(),
    timeline = n.timeline || jsonb_build_array(jsonb_build_object(
        'status', 'queued',
        'at', to_char(
            (clock_timestamp() - sent.ago_s * interval '1 second') AT TIME ZONE 'UTC',
            'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
        ),
        'detail', NULL
    ))
FROM unnest($1::uuid[], $2::int[], $3::float8[]) AS sent (id, run, ago_s)
WHERE n.id = sent.id AND n.run = sent.run AND n.status IN ('accepted', 'scheduled', 'deferred')
"""

_MARK_PUBLISHED = """
UPDATE outbox AS entry
SET published_at = clock_timestamp() - sent.ago_s * interval '1 second',
    publish_count = greatest(entry.publish_count, 1),
    next_at = now() + $4::float8 * interval '1 second'
FROM unnest($1::uuid[], $2::int[], $3::float8[]) AS sent (id, run, ago_s)
WHERE entry.notification_id = sent.id AND entry.run = sent.run
"""

_CLAIM_OVERDUE = """
UPDATE outbox AS entry
SET next_at = now()
        + least($2::float8 * power(2, least(entry.asked_count, 10)), $3::float8) * interval '1 second',
    asked_count = entry.asked_count + 1
FROM (
    SELECT notification_id, run FROM outbox
    WHERE published_at IS NOT NULL AND next_at <= now()
    ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED
) AS due
WHERE entry.notification_id = due.notification_id AND entry.run = due.run
RETURNING entry.notification_id, entry.run, entry.channel, entry.lane,
    coalesce(entry.published_at < (SELECT since FROM broker_epoch), false) AS before_epoch
"""


@dataclass(frozen=True, kw_only=True)
class OverdueEntry:
    """A run that was published and of which no end was heard. `before_epoch`: it was given to a broker
    whose data have been wiped since."""

    key: RunKey
    channel: Channel
    lane: Lane
    before_epoch: bool


@dataclass(frozen=True, kw_only=True)
class OutboxState:
    """`oldest_s`: how long the oldest entry has waited that is due and not published; 0 without one."""

    unpublished: int
    published: int
    oldest_s: float


async def claim_unpublished(connection: Connection, *, limit: int) -> list[RunKey]:
    """Entries to publish now, for `LEASE_S` nobody else's; urgent ones before all others."""
    rows = await connection.fetch(_CLAIM_URGENT, limit, LEASE_S)
    if len(rows) < limit:
        rows += await connection.fetch(_CLAIM_ANY, limit - len(rows), LEASE_S)
    return [(row["notification_id"], row["run"]) for row in rows]


async def mark_published(
    connection: Connection,
    since: Mapping[RunKey, float],
    *,
    monotonic: Callable[[], float],
    ask_after_s: float,
) -> set[RunKey]:
    """Within the open transaction: the broker has these from then on (`monotonic`'s clock) at the earliest;
    the ledger is asked after `ask_after_s`. Those whose notification somebody else is moving at this moment
    are left as they are, and given back."""
    rows = await connection.fetch(_LOCK_FREE, [key[0] for key in since])
    locked = {row["id"] for row in rows}
    free = [key for key in since if key[0] in locked]
    if free:
        ids, runs = [key[0] for key in free], [key[1] for key in free]
        ago_s = [monotonic() - since[key] for key in free]
        await connection.execute(_MOVE_TO_QUEUED, ids, runs, ago_s)
        await connection.execute(_MARK_PUBLISHED, ids, runs, ago_s, ask_after_s)
    return {key for key in since if key[0] not in locked}


async def hand_back(connection: Connection, keys: Sequence[RunKey], *, pause_s: float) -> None:
    """The broker did not take these: try again after a pause."""
    await connection.execute(
        """
        UPDATE outbox AS entry SET next_at = now() + $3::float8 * interval '1 second'
        FROM unnest($1::uuid[], $2::int[]) AS back (id, run)
        WHERE entry.notification_id = back.id AND entry.run = back.run AND entry.published_at IS NULL
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
        pause_s,
    )


async def claim_overdue(connection: Connection, *, limit: int, ask_after_s: float) -> list[OverdueEntry]:
    """Entries to ask the ledger about now; each time an entry is asked about, the next wait doubles."""
    rows = await connection.fetch(_CLAIM_OVERDUE, limit, ask_after_s, _LONGEST_WAIT_S)
    return [
        OverdueEntry(
            key=(row["notification_id"], row["run"]),
            channel=Channel(row["channel"]),
            lane=Lane(row["lane"]),
            before_epoch=row["before_epoch"],
        )
        for row in rows
    ]


async def publish_again(connection: Connection, keys: Sequence[RunKey]) -> None:
    """Neither the ledger nor the broker has these: back to the sweep."""
    await connection.execute(
        """
        UPDATE outbox AS entry SET published_at = NULL, next_at = now(), asked_count = 0
        FROM unnest($1::uuid[], $2::int[]) AS lost (id, run)
        WHERE entry.notification_id = lost.id AND entry.run = lost.run
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
    )


async def drop_orphans(connection: Connection, keys: Sequence[RunKey]) -> None:
    """Entries whose notification is gone: there is nothing to send."""
    await connection.execute(
        """
        DELETE FROM outbox AS entry USING unnest($1::uuid[], $2::int[]) AS orphan (id, run)
        WHERE entry.notification_id = orphan.id AND entry.run = orphan.run
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
    )


async def outbox_state(connection: Connection) -> OutboxState:
    """For the metrics."""
    row = await connection.fetchrow(
        """
        SELECT count(*) FILTER (WHERE published_at IS NULL) AS unpublished,
            count(*) FILTER (WHERE published_at IS NOT NULL) AS published,
            coalesce(extract(epoch FROM now() - min(due_at) FILTER (
                WHERE published_at IS NULL AND due_at <= now()
            )), 0)::float8 AS oldest_s
        FROM outbox
        """
    )
    return OutboxState(unpublished=row["unpublished"], published=row["published"], oldest_s=row["oldest_s"])


async def known_epoch(connection: Connection) -> str | None:
    """The sentinel that the broker should hold; None before the first start."""
    epoch = await connection.fetchval("SELECT epoch FROM broker_epoch")
    return None if epoch is None else str(epoch)


async def adopt_epoch(connection: Connection, epoch: str) -> bool:
    """Remember the broker's sentinel. Where it is another than before, the ledgers are asked at once about
    everything published until now; whether it was. Of several gateways one sees the change."""
    changed = await connection.fetchval(
        """
        INSERT INTO broker_epoch (epoch, since) VALUES ($1, clock_timestamp())
        ON CONFLICT (single) DO UPDATE SET epoch = excluded.epoch, since = excluded.since
        WHERE broker_epoch.epoch <> excluded.epoch
        RETURNING true
        """,
        epoch,
    )
    if changed:
        await connection.execute(
            """
            UPDATE outbox AS entry SET next_at = now(), asked_count = 0
            FROM (
                SELECT notification_id, run FROM outbox WHERE published_at IS NOT NULL FOR UPDATE SKIP LOCKED
            ) AS published
            WHERE entry.notification_id = published.notification_id AND entry.run = published.run
            """
        )
    return bool(changed)
