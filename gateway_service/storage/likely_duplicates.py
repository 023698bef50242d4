"""What may have been said already: the same words to the same recipient, sent or on its way."""

from collections.abc import Sequence
from uuid import UUID

from shared.database.engine import Connection

# One part for each index. An hour before: a sender that asks twice does so within minutes. What failed or was
# never sent says nothing; these statuses are excluded, and the others not listed, since PostgreSQL without
# statistics would take the index on them for each row.
_SAME = """
SELECT c.id FROM notifications AS c
WHERE c.id = ANY($1::uuid[]) AND c.{recipient} IS NOT NULL AND EXISTS (
    SELECT FROM notifications AS other
    WHERE other.{recipient} = c.{recipient} AND other.id <> c.id AND other.owner = c.owner
        AND other.created_at > c.created_at - interval '1 hour'
        AND other.notification_type = c.notification_type
        AND other.template_code IS NOT DISTINCT FROM c.template_code
        AND other.variables = c.variables AND other.content IS NOT DISTINCT FROM c.content
        AND NOT (other.status = ANY (ARRAY[
            'failed', 'bounced', 'suppressed', 'expired', 'cancelled', 'discarded'
        ]))
)
"""
_QUERIES = (
    _SAME.format(recipient="user_id") + " AND c.to_address IS NULL",
    _SAME.format(recipient="to_address"),
)


async def said_already(connection: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these notifications."""
    found: set[UUID] = set()
    for query in _QUERIES:
        found.update(row["id"] for row in await connection.fetch(query, list(ids)))
    return found
