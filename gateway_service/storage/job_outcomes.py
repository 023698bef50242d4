"""What came of the failures that jobs have sent again."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from shared.database.engine import Connection

# Two statements: rows that another job is looking at are passed over, so that no two wait for each other.
_ENDED = """
SELECT f.id FROM failed AS f
WHERE f.job_id = $1 AND f.outcome IS NULL
    AND NOT EXISTS (SELECT FROM outbox AS o WHERE o.notification_id = f.notification_id)
ORDER BY f.id LIMIT $2 FOR UPDATE SKIP LOCKED
"""
# By the target's own latest run; where it has none (the failure was the whole run's, or the address was
# changed), by the notification.
_OUTCOMES = """
UPDATE failed AS f SET outcome = CASE coalesce(
        (
            SELECT t.state FROM targets AS t
            WHERE t.notification_id = f.notification_id AND t.target = f.target AND t.run > f.run
            ORDER BY t.run DESC LIMIT 1
        ),
        (SELECT n.status FROM notifications AS n WHERE n.id = f.notification_id)
    )
    WHEN 'sent' THEN 'sent' WHEN 'delivered' THEN 'sent' WHEN 'bounced' THEN 'sent'
    WHEN 'failed' THEN 'failed_again' WHEN 'discarded' THEN 'failed_again' ELSE 'other' END
WHERE f.id = ANY($1::uuid[]) RETURNING f.outcome
"""


async def settle_outcomes(connection: Connection, identifier: UUID, *, limit: int) -> Mapping[str, int]:
    """What has ended of what the job released and was not counted yet: sent, failed_again, other."""
    counts = {"sent": 0, "failed_again": 0, "other": 0}
    ended = [row["id"] for row in await connection.fetch(_ENDED, identifier, limit)]
    for row in await connection.fetch(_OUTCOMES, ended) if ended else ():
        counts[row["outcome"]] += 1
    return counts


async def first_batch_outcomes(connection: Connection, ids: Sequence[UUID]) -> tuple[int, int, str | None]:
    """Of these failures: how many have ended, how many of those failed again for the kind of error they had,
    and the latest error of these."""
    row = await connection.fetchrow(
        """
        SELECT count(*) FILTER (WHERE f.outcome IS NOT NULL) AS ended,
            count(*) FILTER (WHERE later.error IS NOT NULL) AS same, max(later.error) AS error
        FROM failed AS f LEFT JOIN LATERAL (
            SELECT g.error FROM failed AS g
            WHERE f.outcome = 'failed_again' AND g.notification_id = f.notification_id AND g.run > f.run
                AND g.error_kind = f.error_kind AND (g.target = f.target OR '-' IN (g.target, f.target))
            ORDER BY g.id DESC LIMIT 1
        ) AS later ON true
        WHERE f.id = ANY($1::uuid[])
        """,
        list(ids),
    )
    return row["ended"], row["same"], row["error"]
