"""Leases: taking messages, keeping them while they are worked on, freeing those of the dead.

A message is leased for 30 s on PostgreSQL's clock and renewed every 10 s. A process that dies does not keep
its messages that long: its session's advisory lock goes with it, and whoever sees that frees them at once.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import asyncpg
import structlog

from shared.broker.interface import BrokerUnavailable
from shared.broker.postgres.publisher import WAKE_CHANNEL
from shared.broker.postgres.session import LOCK_SPACE, Session
from shared.broker.topology import WORK_QUEUES

log = structlog.get_logger()

LEASE_S = 30.0
RENEW_EVERY_S = 10.0
REAP_EVERY_S = 2.0
_TIMEOUT_S = 5.0
_MOST_AT_ONCE = 500

LIVE_HOLDERS = f"""
ARRAY(
    SELECT objid::bigint::integer FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {LOCK_SPACE} AND objsubid = 2 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
"""  # noqa: S608 -- what is put in is a number
_TAKE = """
WITH waiting AS MATERIALIZED (
    SELECT id, available_at AS since FROM broker.messages
    WHERE queue = $1 AND available_at <= now()
    ORDER BY available_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE broker.messages AS m
SET available_at = now() + make_interval(secs => $3), deliveries = m.deliveries + 1,
    lease = $5, holder = $4
FROM waiting WHERE m.id = waiting.id
RETURNING m.id, m.body, m.headers, m.deliveries, waiting.since
"""
_NEXT_DUE = """
SELECT extract(epoch FROM available_at - now())::float8 FROM broker.messages
WHERE queue = $1 AND available_at > now() ORDER BY available_at LIMIT 1
"""
_RENEW = """
UPDATE broker.messages AS m SET available_at = now() + make_interval(secs => $3)
FROM unnest($1::bigint[], $2::bigint[]) AS held (id, lease)
WHERE m.id = held.id AND m.lease = held.lease
RETURNING m.id
"""
_FREE_THE_DEAD = f"""
WITH dead AS MATERIALIZED (
    SELECT id FROM broker.messages
    WHERE queue = ANY($1) AND available_at > now() AND holder <> ALL ({LIVE_HOLDERS})
    LIMIT 1000 FOR UPDATE SKIP LOCKED
), freed AS (
    UPDATE broker.messages AS m SET available_at = m.position, lease = 0, holder = NULL
    FROM dead WHERE m.id = dead.id
    RETURNING m.queue
)
SELECT queue, count(*) AS messages, pg_notify('{WAKE_CHANNEL}', queue) FROM freed GROUP BY queue
"""  # noqa: S608 -- what is put in is constant
_FORGET_DEAD_CONSUMERS = f"DELETE FROM broker.consumers WHERE holder <> ALL ({LIVE_HOLDERS})"  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A message that is ours for now."""

    id: int
    token: int
    body: bytes
    headers: bytes
    deliveries: int


class Held(Protocol):
    """What the keeper knows of a delivery."""

    @property
    def lease(self) -> Lease:
        """What is to be renewed."""

    def lost(self) -> None:
        """Called when the message has changed hands."""

    def give_up(self) -> None:
        """Called when this process ends."""


async def take(session: Session, queue: str, *, limit: int, holder: int) -> list[Lease]:
    """The next messages of a queue, in order. Raises BrokerUnavailable."""
    token = secrets.randbits(63)
    rows = await session.run(
        lambda c: c.fetch(_TAKE, queue, min(limit, _MOST_AT_ONCE), LEASE_S, holder, token),
        timeout_s=_TIMEOUT_S,
    )
    ordered: list[tuple[datetime, int, Lease]] = sorted(
        (
            (
                row["since"],
                row["id"],
                Lease(
                    id=row["id"],
                    token=token,
                    body=row["body"],
                    headers=row["headers"],
                    deliveries=row["deliveries"],
                ),
            )
            for row in rows
        ),
        key=lambda entry: entry[:2],
    )
    return [lease for _, _, lease in ordered]


async def next_due_s(session: Session, queue: str) -> float | None:
    """Seconds until the next message of the queue becomes available. Raises BrokerUnavailable."""
    due_s: float | None = await session.run(lambda c: c.fetchval(_NEXT_DUE, queue), timeout_s=_TIMEOUT_S)
    return due_s


class LeaseKeeper:
    """Renews what this process holds, and frees what the dead held."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._held: dict[int, Held] = {}

    def hold(self, delivery: Held) -> None:
        """Renew this one until `release`."""
        self._held[delivery.lease.id] = delivery

    def release(self, delivery: Held) -> None:
        """It is finished, or no longer ours."""
        if self._held.get(delivery.lease.id) is delivery:
            del self._held[delivery.lease.id]

    def give_up_all(self) -> None:
        """This process ends: nothing of what it holds is going to be finished."""
        for delivery in list(self._held.values()):
            delivery.give_up()

    async def renew_all(self) -> None:
        """Renew everything that is held; who has lost a message is told. Raises BrokerUnavailable."""
        held = sorted(self._held.values(), key=lambda delivery: delivery.lease.id)
        for start in range(0, len(held), _MOST_AT_ONCE):
            await self._renew(held[start : start + _MOST_AT_ONCE])

    async def free_the_dead(self) -> None:
        """Make available what sessions held that are gone. Raises BrokerUnavailable."""
        freed = await self._session.run(
            lambda c: c.fetch(_FREE_THE_DEAD, list(WORK_QUEUES)), timeout_s=_TIMEOUT_S
        )
        for row in freed:
            log.info("leases.freed", queue=row["queue"], messages=row["messages"])
        await self._session.run(lambda c: c.execute(_FORGET_DEAD_CONSUMERS), timeout_s=_TIMEOUT_S)

    async def run(self) -> None:
        """Renew and free, for as long as the broker is used."""
        loop = asyncio.get_running_loop()
        renewed_at = loop.time()
        while True:
            await asyncio.sleep(REAP_EVERY_S)
            if self._session.link.connection is None:
                continue
            try:
                if loop.time() - renewed_at >= RENEW_EVERY_S - REAP_EVERY_S / 2:
                    renewed_at = loop.time()
                    await self.renew_all()
                await self.free_the_dead()
            except BrokerUnavailable as error:
                log.warning("leases.not_kept", held=len(self._held), reason=str(error))

    async def _renew(self, held: Sequence[Held]) -> None:
        async def renew(connection: "asyncpg.Connection") -> set[int]:
            rows = await connection.fetch(
                _RENEW, [d.lease.id for d in held], [d.lease.token for d in held], LEASE_S
            )
            return {row["id"] for row in rows}

        ours = await self._session.run(renew, timeout_s=_TIMEOUT_S)
        for delivery in held:
            # What was finished in the meantime is gone without being lost.
            if delivery.lease.id not in ours and self._held.get(delivery.lease.id) is delivery:
                self.release(delivery)
                delivery.lost()
