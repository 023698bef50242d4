"""Who is handling a suspected message alone, in the ledger's database."""

from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from shared.contracts.delivery import DeliveryKey
from shared.database.engine import Database

_BEGIN = """
WITH begun AS (
    INSERT INTO trials AS t (notification_id, run, token, held_until)
    VALUES ($1, $2, $4, clock_timestamp() + $3::interval)
    ON CONFLICT (notification_id, run) DO UPDATE SET held_until = excluded.held_until
    WHERE t.token = excluded.token
    RETURNING 'begun'
)
SELECT * FROM begun
UNION ALL
SELECT CASE WHEN held_until > clock_timestamp() THEN 'held' ELSE 'abandoned' END
FROM trials WHERE notification_id = $1 AND run = $2 AND token <> $4
"""

_IS_HELD = """
SELECT EXISTS (
    SELECT FROM trials WHERE notification_id = $1 AND run = $2 AND held_until > clock_timestamp()
)
"""

_KEEP = """
UPDATE trials SET held_until = clock_timestamp() + $3::interval WHERE notification_id = $1 AND run = $2
"""

_END = "DELETE FROM trials WHERE notification_id = $1 AND run = $2"


class Trial(StrEnum):
    """Where the trial of a message stands when one asks for it."""

    BEGUN = "begun"
    HELD = "held"
    """Somebody else is at it, or was until a moment ago."""
    ABANDONED = "abandoned"
    """Whoever was at it has ended without a word."""


class TrialRecords:
    """Each method raises DatabaseUnavailable, and can be asked again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, key: DeliveryKey, *, token: UUID, hold: timedelta) -> Trial:
        """Note that the message is handled alone from now on, for `hold` at first. `token` is the caller's
        own: a trial whose answer got lost is begun by it again."""
        async with self._database.connection() as connection:
            found = await connection.fetchval(_BEGIN, key.notification_id, key.run, hold, token)
        # Ended by somebody else while we asked: ask again.
        return Trial.HELD if found is None else Trial(found)

    async def is_held(self, key: DeliveryKey) -> bool:
        """Whether somebody is at it."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(_IS_HELD, key.notification_id, key.run))

    async def keep(self, key: DeliveryKey, *, hold: timedelta) -> None:
        """It is still being handled."""
        async with self._database.connection() as connection:
            await connection.execute(_KEEP, key.notification_id, key.run, hold)

    async def end(self, key: DeliveryKey) -> None:
        """It has been handled, and the process lives; or it has been parked."""
        async with self._database.connection() as connection:
            await connection.execute(_END, key.notification_id, key.run)
