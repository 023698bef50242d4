"""Publishing: what waits at the same time is one INSERT, and done when that has committed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg
import msgspec

from shared.broker.interface import BrokerError, BrokerUnavailable, Message, NotRouted, Receipt
from shared.broker.postgres.session import Session
from shared.broker.topology import WORK_QUEUES
from shared.process.tasks import supervise

WAKE_CHANNEL = "carillon_broker_wake"
LONGEST_BODY = 8 * 1024 * 1024
"""Bytes."""
_MOST_ROWS = 2000
_MOST_BYTES = 4 * LONGEST_BODY

# One notification for each queue: a hint, so that consumers need not poll.
_INSERT = f"""
WITH stored AS (
    INSERT INTO broker.messages (queue, body, headers)
    SELECT queue, body, headers
    FROM unnest($1::text[], $2::bytea[], $3::bytea[]) WITH ORDINALITY AS given (queue, body, headers, place)
    ORDER BY place
)
SELECT pg_notify('{WAKE_CHANNEL}', queue) FROM unnest($4::text[]) AS woken (queue)
"""  # noqa: S608 -- the one thing put in is a constant


@dataclass(frozen=True, kw_only=True)
class _Row:
    queue: str
    body: bytes
    headers: bytes


@dataclass(kw_only=True, eq=False)
class _Batch:
    rows: list[_Row]
    stored: "asyncio.Future[BrokerUnavailable | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class PostgresPublisher:
    """Collects what is published while the last INSERT is on its way, and stores it with the next."""

    def __init__(self, session: Session, *, timeout_s: float) -> None:
        self._session = session
        self._timeout_s = timeout_s
        self._waiting: list[_Batch] = []
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to store."""
        self._task = asyncio.create_task(supervise("broker.publisher", self._run))

    async def close(self) -> None:
        """Stop; what still waits fails."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        _settle(self._waiting, BrokerUnavailable("The broker was closed."))

    async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
        """See `Broker.publish`."""
        errors: list[BrokerError | None] = []
        rows: list[_Row] = []
        for message in messages:
            checked = _row(message)
            errors.append(checked if isinstance(checked, BrokerError) else None)
            if isinstance(checked, _Row):
                rows.append(checked)
        if rows:
            failure = await self._store(rows)
            errors = [failure if error is None else error for error in errors]
        return [Receipt(error=error) for error in errors]

    async def _store(self, rows: list[_Row]) -> BrokerUnavailable | None:
        if self._session.link.connection is None:
            return BrokerUnavailable("There is no connection to the broker.")
        batch = _Batch(rows=rows)
        self._waiting.append(batch)
        self._due.set()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await batch.stored
        except TimeoutError:
            return BrokerUnavailable("PostgreSQL did not store the message in time.")
        finally:
            # Whoever no longer waits has been told that it failed: what has not been sent yet never is.
            if batch in self._waiting:
                self._waiting.remove(batch)

    async def _run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            while batches := self._next_batches():
                try:
                    await self._insert([row for batch in batches for row in batch.rows])
                except BrokerUnavailable as error:
                    _settle(batches, error)
                except BaseException:
                    _settle(batches, BrokerUnavailable("Storing the message ended early."))
                    raise
                else:
                    _settle(batches, None)

    def _next_batches(self) -> list[_Batch]:
        taken: list[_Batch] = []
        rows = size = 0
        while self._waiting:
            batch = self._waiting[0]
            rows += len(batch.rows)
            size += sum(len(row.body) for row in batch.rows)
            if taken and (rows > _MOST_ROWS or size > _MOST_BYTES):
                break
            taken.append(self._waiting.pop(0))
        return taken

    async def _insert(self, rows: list[_Row]) -> None:
        async def insert(connection: "asyncpg.Connection") -> None:
            await connection.fetch(
                _INSERT,
                [row.queue for row in rows],
                [row.body for row in rows],
                [row.headers for row in rows],
                list({row.queue for row in rows}),
            )

        await self._session.run(insert, timeout_s=self._timeout_s)


def _row(message: Message) -> _Row | BrokerError:
    if message.route not in WORK_QUEUES:
        return NotRouted("No queue took the message.")
    if len(message.body) > LONGEST_BODY:
        return BrokerError(f"A message has at most {LONGEST_BODY} bytes, not {len(message.body)}.")
    try:
        headers = msgspec.json.encode(message.headers)
    except UnicodeEncodeError as error:
        return BrokerError(f"The headers cannot be encoded: {error.reason}.")
    return _Row(queue=message.route, body=message.body, headers=headers)


def _settle(batches: Sequence[_Batch], error: BrokerUnavailable | None) -> None:
    for batch in batches:
        if not batch.stored.done():
            batch.stored.set_result(error)
