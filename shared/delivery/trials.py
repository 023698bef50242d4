"""Messages suspected of ending the process that handles them: each is tried alone, and parked if it does it
again.

The broker counts how often it has handed a message out, the ledger how often a sweep has taken it. Everything
that was in hand when a process died, or was stopped, is counted with the culprit; so from the third time on a
message is handled with no other beside it, and a row in `trials` says so while it is. A row that nobody keeps
alive any more has outlived its process: that message did it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Generic, TypeVar
from uuid import uuid4

import structlog

from shared.contracts.channels import Channel
from shared.contracts.delivery import DeliveryKey, DeliveryRequested, Problem
from shared.database.errors import DatabaseError
from shared.delivery import metrics
from shared.delivery.isolation import Isolation
from shared.delivery.patience import patiently
from shared.delivery.trial_records import Trial, TrialRecords
from shared.delivery.worker import Worker

log = structlog.get_logger()
ContentT = TypeVar("ContentT")

SUSPECTED_FROM = 3
"""Deliveries, this one included."""
HOLD = timedelta(seconds=6)
KEEP_EVERY_S = 2.0
LOOK_AGAIN_S = 1.0
END_WITHIN_S = 3.0
POISON = Problem(
    kind="message.poison",
    message="Whatever handled this message died or stalled, at last while it handled nothing else.",
)


class Trials(Generic[ContentT]):
    """The way of every message into the worker. `times`: how often it has been handed out by now."""

    def __init__(self, worker: Worker[ContentT], records: TrialRecords, *, channel: Channel) -> None:
        self._worker = worker
        self._records = records
        self._isolation = Isolation()
        self._suspects: Counter[DeliveryKey] = Counter()
        self._count = metrics.ISOLATED.labels(channel.value)

    async def deliver(self, request: DeliveryRequested, raw: bytes, *, times: int, known: bool) -> int | None:
        """See `Worker.deliver`."""
        key = DeliveryKey(notification_id=request.notification_id, run=request.run)
        # A second copy has been handed out once, and is as deadly as the first.
        if times < SUSPECTED_FROM and key not in self._suspects:
            async with self._isolation.together():
                return await self._worker.deliver(request, raw, known=known)
        self._suspects[key] += 1
        try:
            return await self._try(request, raw, key=key, times=times)
        finally:
            self._suspects[key] -= 1
            if not self._suspects[key]:
                del self._suspects[key]

    async def _try(
        self, request: DeliveryRequested, raw: bytes, *, key: DeliveryKey, times: int
    ) -> int | None:
        token, abandoned = uuid4(), False
        while True:
            if await patiently(lambda: self._records.is_held(key)):
                # Another process is trying it right now, or died a moment ago.
                await asyncio.sleep(LOOK_AGAIN_S)
                continue
            async with self._isolation.alone():
                trial = await patiently(lambda: self._records.begin(key, token=token, hold=HOLD))
                if trial is Trial.BEGUN:
                    self._count.inc()
                    log.warning("message.isolated", notification_id=str(key.notification_id), times=times)
                    async with self._kept(key):
                        return await self._worker.deliver(request, raw, known=True, alone=True)
                if trial is Trial.ABANDONED and abandoned:
                    await self._worker.fail(request, raw, problem=POISON, stack=None)
                    await patiently(lambda: self._records.end(key))
                    return None
            # Looked at twice: who is trying it may live, and could not say so while the ledger was away.
            abandoned = trial is Trial.ABANDONED
            await asyncio.sleep(2 * KEEP_EVERY_S)

    @asynccontextmanager
    async def _kept(self, key: DeliveryKey) -> AsyncIterator[None]:
        # An unfinished trial would be taken for a death: it is ended whatever comes, but who stops the
        # process does not wait for a ledger that is away.
        keeping = asyncio.create_task(self._keep(key))
        within_s: float | None = None
        try:
            yield
        except asyncio.CancelledError:
            within_s = END_WITHIN_S
            raise
        finally:
            keeping.cancel()
            with suppress(TimeoutError):
                await asyncio.wait_for(patiently(lambda: self._records.end(key)), within_s)

    async def _keep(self, key: DeliveryKey) -> None:
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            with suppress(DatabaseError):
                await self._records.keep(key, hold=HOLD)
