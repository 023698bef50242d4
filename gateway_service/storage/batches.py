"""Batches in the database: the key of a whole batch, and the answer that it gets again."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from gateway_service.storage.acceptance import PATIENCE_MS, InProgress, KeyClaim
from shared.database.engine import Connection


@dataclass(frozen=True, kw_only=True)
class BatchHolder:
    """Who holds a batch's key; `response` is the stored answer, None where a single notification holds it."""

    fingerprint: bytes
    response: bytes | None


async def claim_batch(
    connection: Connection, *, owner: UUID, claim: KeyClaim, batch_id: UUID, at: datetime
) -> BatchHolder | None:
    """Take the key within the open transaction; None where it is ours now, else who has it.

    Raises InProgress where another transaction has held the key for long, and DatabaseUnavailable.
    """
    await connection.execute(f"SET LOCAL lock_timeout = {PATIENCE_MS}")
    try:
        won = await connection.fetchval(
            """
            INSERT INTO idempotency_keys (owner, key, fingerprint, batch_id, created_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING true
            """,
            owner,
            claim.key,
            claim.fingerprint,
            batch_id,
            at,
        )
    except asyncpg.LockNotAvailableError as error:
        raise InProgress from error
    if won:
        return None
    holder = await batch_holder(connection, owner=owner, key=claim.key)
    if holder is None:
        raise InProgress
    return holder


async def batch_holder(connection: Connection, *, owner: UUID, key: str) -> BatchHolder | None:
    """Who has taken the key; None where nobody has. Raises DatabaseUnavailable."""
    row = await connection.fetchrow(
        "SELECT fingerprint, response FROM idempotency_keys WHERE owner = $1 AND key = $2", owner, key
    )
    return None if row is None else BatchHolder(fingerprint=row["fingerprint"], response=row["response"])


async def keep_answer(connection: Connection, *, owner: UUID, key: str, response: bytes) -> None:
    """Store the answer beside the key, in the transaction that accepts the batch."""
    await connection.execute(
        "UPDATE idempotency_keys SET response = $3 WHERE owner = $1 AND key = $2", owner, key, response
    )


async def forget_old_keys(connection: Connection, *, before: datetime, limit: int = 5_000) -> int:
    """Delete keys made before `before`, at most `limit`; how many."""
    rows = await connection.fetch(
        """
        DELETE FROM idempotency_keys WHERE (owner, key) IN (
            SELECT owner, key FROM idempotency_keys WHERE created_at < $1
            LIMIT $2 FOR UPDATE SKIP LOCKED
        ) RETURNING 1
        """,
        before,
        limit,
    )
    return len(rows)
