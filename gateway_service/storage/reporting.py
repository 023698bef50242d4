"""Statements that take reports over, to be run in one transaction in this order."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from gateway_service.storage.notifications import TimelineEntry
from gateway_service.storage.outbox import RunKey
from shared.contracts.delivery import DeliveryReported, DeliveryState
from shared.contracts.http.notification_answers import NotificationStatus
from shared.database.engine import Connection

MAY_HAVE_TAKEN = (DeliveryState.SENT, DeliveryState.UNKNOWN)
"""How a target ended that is left out when the others are sent to again."""

_UPSERT_TARGETS = """
INSERT INTO targets (
    notification_id, run, target, expected, state, attempt, rank, possible_duplicate, deferred_until,
    error, error_kind, provider, provider_message_id, attempts, updated_at
)
SELECT
    id, run, target, expected, state, attempt, rank, possible_duplicate, deferred_until,
    error, error_kind, provider, provider_message_id, attempts::jsonb, updated_at
FROM unnest(
    $1::uuid[], $2::int[], $3::text[], $4::int[], $5::text[], $6::int[], $7::smallint[], $8::boolean[],
    $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::timestamptz[]
) AS report (
    id, run, target, expected, state, attempt, rank, possible_duplicate, deferred_until,
    error, error_kind, provider, provider_message_id, attempts, updated_at
)
ON CONFLICT (notification_id, run, target) DO UPDATE SET
    expected = excluded.expected, state = excluded.state, attempt = excluded.attempt, rank = excluded.rank,
    possible_duplicate = excluded.possible_duplicate, deferred_until = excluded.deferred_until,
    error = excluded.error, error_kind = excluded.error_kind, provider = excluded.provider,
    provider_message_id = excluded.provider_message_id, attempts = excluded.attempts,
    updated_at = excluded.updated_at
WHERE (targets.attempt, targets.rank) < (excluded.attempt, excluded.rank)
"""

_MOVE = """
UPDATE notifications AS n
SET status = change.status, run = change.run, error = change.error, error_kind = change.error_kind,
    possible_duplicate = n.possible_duplicate OR change.possible_duplicate, updated_at = change.at,
    timeline = n.timeline || change.timeline::jsonb
FROM unnest(
    $1::uuid[], $2::text[], $3::int[], $4::text[], $5::text[], $6::boolean[], $7::timestamptz[], $8::text[]
) AS change (id, status, run, error, error_kind, possible_duplicate, at, timeline)
WHERE n.id = change.id
"""


@dataclass(frozen=True, kw_only=True)
class LockedNotification:
    """Where a notification stands; nobody else moves it before the transaction ends."""

    status: NotificationStatus
    run: int
    error: str | None
    error_kind: str | None
    possible_duplicate: bool


@dataclass(frozen=True, kw_only=True)
class TargetRow:
    """What the newest report of a target says, as it is stored. `expected`: targets of the run."""

    state: DeliveryState
    expected: int
    error: str | None
    error_kind: str | None
    possible_duplicate: bool
    deferred_until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a notification becomes, with what is appended to its timeline."""

    id: UUID
    status: NotificationStatus
    run: int
    error: str | None
    error_kind: str | None
    possible_duplicate: bool
    at: datetime
    timeline: tuple[TimelineEntry, ...]


async def lock_notifications(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, LockedNotification]:
    """Lock in the order of ids, as everybody does; what is gone is not in the answer."""
    rows = await connection.fetch(
        """
        SELECT id, status, run, error, error_kind, possible_duplicate FROM notifications
        WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE
        """,
        list(ids),
    )
    return {
        row["id"]: LockedNotification(
            status=NotificationStatus(row["status"]),
            run=row["run"],
            error=row["error"],
            error_kind=row["error_kind"],
            possible_duplicate=row["possible_duplicate"],
        )
        for row in rows
    }


async def store_reports(connection: Connection, reports: Sequence[tuple[DeliveryReported, int]]) -> None:
    """Store each (report, rank of its state) that is newer than what is known; one for each target."""
    columns = [list(column) for column in zip(*(_row(*report) for report in reports), strict=True)]
    await connection.execute(_UPSERT_TARGETS, *columns)


async def load_targets(connection: Connection, keys: Sequence[RunKey]) -> dict[RunKey, list[TargetRow]]:
    """Every known target of these runs."""
    rows = await connection.fetch(
        """
        SELECT t.notification_id, t.run, t.state, t.expected, t.error, t.error_kind,
            t.possible_duplicate, t.deferred_until
        FROM unnest($1::uuid[], $2::int[]) AS asked (id, run)
        JOIN targets AS t ON t.notification_id = asked.id AND t.run = asked.run
        ORDER BY t.notification_id, t.run, t.target
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    found: dict[RunKey, list[TargetRow]] = {}
    for row in rows:
        target = TargetRow(
            state=DeliveryState(row["state"]),
            expected=row["expected"],
            error=row["error"],
            error_kind=row["error_kind"],
            possible_duplicate=row["possible_duplicate"],
            deferred_until=row["deferred_until"],
        )
        found.setdefault((row["notification_id"], row["run"]), []).append(target)
    return found


async def load_earlier_states(
    connection: Connection, keys: Sequence[RunKey]
) -> dict[UUID, set[DeliveryState]]:
    """How the targets of earlier runs than these ended, by notification."""
    rows = await connection.fetch(
        """
        SELECT t.notification_id, t.state
        FROM unnest($1::uuid[], $2::int[]) AS asked (id, run)
        JOIN targets AS t ON t.notification_id = asked.id AND t.run < asked.run
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    found: dict[UUID, set[DeliveryState]] = {}
    for row in rows:
        found.setdefault(row["notification_id"], set()).add(DeliveryState(row["state"]))
    return found


async def move(connection: Connection, changes: Sequence[Change]) -> None:
    """Write what notifications become."""
    await connection.execute(
        _MOVE,
        [change.id for change in changes],
        [change.status.value for change in changes],
        [change.run for change in changes],
        [change.error for change in changes],
        [change.error_kind for change in changes],
        [change.possible_duplicate for change in changes],
        [change.at for change in changes],
        [msgspec.json.encode(change.timeline).decode() for change in changes],
    )


async def close_runs(connection: Connection, keys: Sequence[RunKey]) -> None:
    """Nothing more is to be done for these runs."""
    await connection.execute(
        """
        DELETE FROM outbox AS entry USING unnest($1::uuid[], $2::int[]) AS closed (id, run)
        WHERE entry.notification_id = closed.id AND entry.run = closed.run
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
    )


async def open_runs(
    connection: Connection,
    runs: Sequence[tuple[UUID, int, datetime | None]],
    *,
    left_out: Collection[DeliveryState] | None,
) -> None:
    """Release these notifications (id, run, due_at; None is at once) when they are due, within the
    transaction that has locked them: to all targets but those that any earlier run has left in one of the
    states `left_out`, and those whose failure was discarded; to all where `left_out` is None. What is left
    open of earlier runs needs nobody's attention any more."""
    ids = [run[0] for run in runs]
    await connection.execute(
        """
        UPDATE notifications AS n SET excluded_targets = CASE WHEN $2::text[] IS NULL THEN NULL ELSE (
            SELECT array_agg(DISTINCT out.target) FROM (
                SELECT t.target FROM targets AS t
                WHERE t.notification_id = n.id AND t.state = ANY($2::text[])
                UNION ALL
                SELECT f.target FROM failed AS f WHERE f.notification_id = n.id AND f.status = 'discarded'
            ) AS out
        ) END
        WHERE n.id = ANY($1::uuid[])
        """,
        ids,
        None if left_out is None else [state.value for state in left_out],
    )
    await connection.execute(
        """
        INSERT INTO outbox (notification_id, run, channel, lane, due_at, next_at)
        SELECT n.id, opened.run, n.notification_type, n.lane,
            coalesce(opened.due_at, now()), coalesce(opened.due_at, now())
        FROM unnest($1::uuid[], $2::int[], $3::timestamptz[]) AS opened (id, run, due_at)
        JOIN notifications AS n ON n.id = opened.id
        ON CONFLICT DO NOTHING
        """,
        ids,
        [run[1] for run in runs],
        [run[2] for run in runs],
    )
    await connection.execute(
        """
        UPDATE failed AS f SET status = 'reprocessed', closed_at = now(), closed_by = 'a later run'
        FROM unnest($1::uuid[], $2::int[]) AS opened (id, run)
        WHERE f.notification_id = opened.id AND f.run < opened.run AND f.status = 'open'
        """,
        ids,
        [run[1] for run in runs],
    )


async def close_what_was_taken(connection: Connection, targets: Sequence[tuple[UUID, int, str]]) -> None:
    """Open failures of these targets (id, run, target): their provider took them after all."""
    await connection.execute(
        """
        UPDATE failed AS f
        SET status = 'reprocessed', closed_at = now(), closed_by = 'its provider, which took it after all'
        FROM unnest($1::uuid[], $2::int[], $3::text[]) AS taken (id, run, target)
        WHERE f.notification_id = taken.id AND f.run = taken.run AND f.target = taken.target
            AND f.status = 'open'
        """,
        [key[0] for key in targets],
        [key[1] for key in targets],
        [key[2] for key in targets],
    )


def _row(report: DeliveryReported, rank: int) -> tuple[object, ...]:
    return (
        report.notification_id,
        report.run,
        report.target,
        report.targets,
        report.state.value,
        report.attempt,
        rank,
        report.possible_duplicate,
        report.deferred_until,
        None if report.problem is None else report.problem.message,
        None if report.problem is None else report.problem.kind,
        report.provider,
        report.provider_message_id,
        msgspec.json.encode(report.attempts).decode(),
        report.occurred_at,
    )
