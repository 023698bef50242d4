"""Deleting what the gateway has forgotten: the ledger outlives the gateway's rows, but not for ever."""

from uuid import UUID

from shared.contracts.delivery import TERMINAL_STATES
from shared.database.engine import Connection

MOST_ROWS = 5_000
"""In one statement, so that claims and settlements hardly wait for it."""

# No row of a notification goes before all have ended: were one target deleted while another is still to be
# sent, a copy of the message would find no trace of the first, and send it again. OFFSET 0 keeps that a
# look-up for each row: else the planner, where nearly all have ended, makes it a join and reads the whole
# ledger for each batch.
_PURGE = """
DELETE FROM deliveries AS d USING (
    SELECT o.notification_id, o.run, o.target FROM deliveries AS o
    WHERE o.notification_id < $1 AND NOT EXISTS (
        SELECT FROM deliveries AS e WHERE e.notification_id = o.notification_id
            AND (e.state <> ALL ($2::text[]) OR e.unreported_since IS NOT NULL)
        OFFSET 0
    )
    ORDER BY o.notification_id, o.run, o.target LIMIT $3 FOR UPDATE SKIP LOCKED
) AS old
WHERE d.notification_id = old.notification_id AND d.run = old.run AND d.target = old.target
    AND d.unreported_since IS NULL
RETURNING 1
"""


_OLD_TRIALS = "DELETE FROM trials WHERE held_until < clock_timestamp() - interval '1 day'"


async def purge(connection: Connection, *, before: UUID, limit: int = MOST_ROWS) -> int:
    """Delete at most `limit` rows of notifications whose id is lower than `before`, all of whose targets have
    ended and are acknowledged by the gateway; how many. With them go trials whose message never came back.
    Raises DatabaseUnavailable."""
    await connection.execute(_OLD_TRIALS)
    ended = sorted(state.value for state in TERMINAL_STATES)
    return len(await connection.fetch(_PURGE, before, ended, limit))
