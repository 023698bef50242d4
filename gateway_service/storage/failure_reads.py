"""Failures for people: lists, one of them whole, and what they have in common."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from gateway_service.storage.failure_selection import Condition, FailureSelection, by_id
from shared.contracts.channels import Channel
from shared.contracts.delivery import Attempt, DeliveryRequested
from shared.contracts.http.failures import CauseSummary, FailureItem, FailureStatus
from shared.contracts.http.notification_answers import NotificationStatus
from shared.database.engine import Connection

MOST_CAUSES = 200
COUNTING_S = 10.0
"""For what counts everything that a filter finds: at a million a second or two."""

_ITEM = """
f.id, f.notification_id, f.target, f.run, f.notification_type, f.provider, f.error_kind, f.error,
f.template_code, f.cause, f.status, f.created_at, f.closed_at, f.closed_by, f.job_id
"""

_SUMMARY = """
WITH causes AS (
    SELECT f.cause, count(*) AS count, min(f.created_at) AS first_seen, max(f.created_at) AS last_seen,
        sum(count(*)) OVER ()::bigint AS total
    FROM failed AS f WHERE {where}
    GROUP BY f.cause ORDER BY count DESC, f.cause LIMIT {limit}
)
SELECT causes.*, latest.*
FROM causes CROSS JOIN LATERAL (
    SELECT f.id, f.notification_type, f.provider, f.error_kind, f.template_code, f.error FROM failed AS f
    WHERE {where} AND f.cause = causes.cause ORDER BY f.id DESC LIMIT 1
) AS latest
ORDER BY causes.count DESC, causes.cause
"""


@dataclass(frozen=True, kw_only=True)
class WholeFailure:
    """Everything that is kept of a failure; `request` is None, and `raw` is not, where it could not be read.
    `history`: the attempts of its target in its run."""

    item: FailureItem
    owner: UUID | None
    request: DeliveryRequested | None
    history: tuple[Attempt, ...]
    stack: str | None
    raw: bytes | None
    notification_status: NotificationStatus | None


async def list_failures(
    connection: Connection, selection: FailureSelection, *, before: UUID | None, limit: int
) -> list[FailureItem]:
    """Newest first."""
    condition = selection.condition
    if before is not None:
        condition = condition.and_("f.id < {}", before)
    rows = await connection.fetch(
        f"SELECT {_ITEM} FROM failed AS f WHERE {condition.sql} ORDER BY f.id DESC LIMIT {int(limit)}",  # noqa: S608
        *condition.values,
    )
    return [failure_item(row) for row in rows]


async def find_failure(
    connection: Connection, identifier: UUID, *, owner: UUID | None
) -> WholeFailure | None:
    """None where there is none that belongs to `owner`."""
    condition = by_id([identifier])
    if owner is not None:
        condition = condition.and_("f.owner = {}", owner)
    row = await connection.fetchrow(
        f"""
        SELECT {_ITEM}, f.owner, f.request, f.history, f.stack, f.raw, n.status AS notification_status
        FROM failed AS f LEFT JOIN notifications AS n ON n.id = f.notification_id
        WHERE {condition.sql}
        """,  # noqa: S608
        *condition.values,
    )
    if row is None:
        return None
    status = row["notification_status"]
    return WholeFailure(
        item=failure_item(row),
        owner=row["owner"],
        request=None if row["request"] is None else msgspec.convert(row["request"], DeliveryRequested),
        history=msgspec.convert(row["history"], tuple[Attempt, ...]),
        stack=row["stack"],
        raw=row["raw"],
        notification_status=None if status is None else NotificationStatus(status),
    )


async def summarize(
    connection: Connection, selection: FailureSelection
) -> tuple[int, tuple[CauseSummary, ...]]:
    """How many there are of all causes, and the most frequent ones."""
    condition = selection.condition
    rows = await connection.fetch(
        _SUMMARY.format(where=condition.sql, limit=MOST_CAUSES), *condition.values, timeout=COUNTING_S
    )
    causes = tuple(
        CauseSummary(
            cause=row["cause"],
            notification_type=_channel(row),
            provider=row["provider"],
            error_type=row["error_kind"],
            template_code=row["template_code"],
            count=row["count"],
            first_seen=row["first_seen"],
            last_seen=row["last_seen"],
            example_id=row["id"],
            error=row["error"],
        )
        for row in rows
    )
    return (rows[0]["total"] if rows else 0), causes


async def count_failures(connection: Connection, condition: Condition, *, most: int | None = None) -> int:
    """How many there are; counted up to `most`."""
    bound = "" if most is None else f"LIMIT {int(most)}"
    return int(
        await connection.fetchval(
            f"SELECT count(*) FROM (SELECT FROM failed AS f WHERE {condition.sql} {bound}) AS found",  # noqa: S608
            *condition.values,
            timeout=COUNTING_S,
        )
    )


def failure_item(row: Any) -> FailureItem:
    """From a row with the columns of `_ITEM`."""
    return FailureItem(
        id=row["id"],
        notification_id=row["notification_id"],
        target=row["target"],
        run=row["run"],
        notification_type=_channel(row),
        provider=row["provider"],
        error_type=row["error_kind"],
        error=row["error"],
        template_code=row["template_code"],
        cause=row["cause"],
        status=FailureStatus(row["status"]),
        created_at=row["created_at"],
        closed_at=row["closed_at"],
        closed_by=row["closed_by"],
        job_id=row["job_id"],
    )


def _channel(row: Any) -> Channel | None:
    return None if row["notification_type"] is None else Channel(row["notification_type"])
