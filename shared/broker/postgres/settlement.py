"""Settling deliveries: what finishes at the same time is one transaction, repeated until it commits.

Every statement is fenced by the lease: where the message has changed hands it touches nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import asyncpg
import structlog

from shared.broker.interface import BrokerUnavailable
from shared.broker.link import Backoff
from shared.broker.postgres.publisher import WAKE_CHANNEL
from shared.broker.postgres.session import Session
from shared.broker.topology import FAILED_QUEUE
from shared.process.tasks import supervise

log = structlog.get_logger()

_MOST_AT_ONCE = 1000
_TIMEOUT_S = 5.0

_ACK = """
DELETE FROM broker.messages AS m USING unnest($1::bigint[], $2::bigint[]) AS held (id, lease)
WHERE m.id = held.id AND m.lease = held.lease
"""
_RETRY = """
UPDATE broker.messages AS m
SET available_at = now() + make_interval(secs => held.delay),
    position = now() + make_interval(secs => held.delay),
    lease = 0, holder = NULL, deliveries = 0
FROM unnest($1::bigint[], $2::bigint[], $3::float8[]) AS held (id, lease, delay)
WHERE m.id = held.id AND m.lease = held.lease
"""
_PARK = f"""
WITH gone AS (
    DELETE FROM broker.messages AS m
    USING unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS held (id, lease, body)
    WHERE m.id = held.id AND m.lease = held.lease
    RETURNING held.body, m.headers
), parked AS (
    INSERT INTO broker.messages (queue, body, headers) SELECT '{FAILED_QUEUE}', body, headers FROM gone
)
SELECT pg_notify('{WAKE_CHANNEL}', '{FAILED_QUEUE}')
"""  # noqa: S608 -- what is put in is constant
_HAND_BACK = f"""
WITH back AS (
    UPDATE broker.messages AS m
    SET available_at = m.position, lease = 0, holder = NULL, deliveries = m.deliveries - $3::integer
    FROM unnest($1::bigint[], $2::bigint[]) AS held (id, lease)
    WHERE m.id = held.id AND m.lease = held.lease
    RETURNING m.queue
)
SELECT pg_notify('{WAKE_CHANNEL}', queue) FROM (SELECT DISTINCT queue FROM back) AS woken
"""  # noqa: S608 -- what is put in is constant


class Fate(StrEnum):
    """What becomes of a message that was taken."""

    ACKED = "acked"
    RETRIED = "retried"
    PARKED = "parked"
    HANDED_BACK = "handed_back"
    """Was never given to anybody: not counted as a delivery."""
    ABANDONED = "abandoned"
    """Was given out, and never finished."""


@dataclass(kw_only=True, eq=False)
class Settlement:
    """What is to become of one lease. `delay_s` goes with RETRIED, `body` with PARKED."""

    id: int
    lease: int
    fate: Fate
    delay_s: float = 0.0
    body: bytes = b""
    done: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Settler:
    """Settles in the background. Bounded by what consumers may have unfinished."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: list[Settlement] = []
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to settle; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(supervise("broker.settler", self._run))

    async def close(self, *, timeout_s: float) -> None:
        """Settle what is waiting, for at most `timeout_s`; what is left comes back by its lease."""
        if self._task is None:
            return
        if self._waiting:
            await asyncio.wait([settlement.done for settlement in self._waiting], timeout=timeout_s)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for settlement in self._waiting:
            settlement.done.cancel()

    def submit(self, settlement: Settlement) -> None:
        """Settle soon; `settlement.done` says when, and is cancelled where it never comes to it."""
        self._waiting.append(settlement)
        self._due.set()

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            if not self._waiting:
                self._due.clear()
                await self._due.wait()
            while self._waiting:
                await self._session.link.wait()
                batch = self._waiting[:_MOST_AT_ONCE]
                try:
                    await self._session.run(lambda c, b=batch: _settle(c, b), timeout_s=_TIMEOUT_S)  # type: ignore[misc]
                except BrokerUnavailable as error:
                    log.warning("settlement.delayed", waiting=len(self._waiting), reason=str(error))
                    await asyncio.sleep(backoff.next_s())
                    continue
                backoff.reset()
                del self._waiting[: len(batch)]
                for settlement in batch:
                    if not settlement.done.done():
                        settlement.done.set_result(None)


async def _settle(connection: "asyncpg.Connection", batch: Sequence[Settlement]) -> None:
    # In the order of ids, so that two processes that meet on the same rows do not deadlock.
    by_fate = {fate: sorted((s for s in batch if s.fate is fate), key=lambda s: s.id) for fate in Fate}
    if len(by_fate[Fate.ACKED]) == len(batch):
        await connection.execute(_ACK, *_leases(batch))
        return
    async with connection.transaction():
        if acked := by_fate[Fate.ACKED]:
            await connection.execute(_ACK, *_leases(acked))
        if retried := by_fate[Fate.RETRIED]:
            await connection.execute(_RETRY, *_leases(retried), [s.delay_s for s in retried])
        if parked := by_fate[Fate.PARKED]:
            await connection.execute(_PARK, *_leases(parked), [s.body for s in parked])
        if handed_back := by_fate[Fate.HANDED_BACK]:
            await connection.execute(_HAND_BACK, *_leases(handed_back), 1)
        if abandoned := by_fate[Fate.ABANDONED]:
            await connection.execute(_HAND_BACK, *_leases(abandoned), 0)


def _leases(settlements: Sequence[Settlement]) -> tuple[list[int], list[int]]:
    return [s.id for s in settlements], [s.lease for s in settlements]
