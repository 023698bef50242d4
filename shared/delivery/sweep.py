"""The ledger's own sweep: what a crash, a lost message or a silent gateway has left behind."""

import asyncio
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Generic, TypeVar

import structlog

from shared.broker.decoding import Undecodable, decode
from shared.contracts.channels import Channel
from shared.contracts.delivery import Attempt, DeliveryKey, DeliveryRequested, Problem
from shared.delivery import metrics
from shared.delivery.ledger import Ledger
from shared.delivery.ledger_rows import LedgerRow, SettledAttempt, TargetKey
from shared.delivery.outcomes import Unknown
from shared.delivery.patience import patiently
from shared.delivery.reporter import Reporter
from shared.delivery.retry import Circumstances, age_at, settle
from shared.delivery.rota import Passage, Rota
from shared.delivery.trials import Trials
from shared.delivery.worker import Worker
from shared.process.correlation import correlation_scope

log = structlog.get_logger()
ContentT = TypeVar("ContentT")

OVERDUE_GRACE = timedelta(seconds=1)
"""How long after its due time an attempt is left to the copy that comes back through the broker."""
EXPIRY_GRACE = timedelta(seconds=3)
"""How long after its lease an attempt is left to the process that may still be settling it."""
HOLD = timedelta(seconds=20)
"""How long what a sweep has taken is left to it without a word; a process that dies delays it by so much."""
KEEP_EVERY_S = 5.0
BATCH = 200
MOST_IN_HAND = 200
LEASE_EXPIRED = Problem(
    kind="lease.expired",
    message="The process that was sending it ended or stalled; the message may or may not have gone out.",
)


class Sweep(Generic[ContentT]):
    """Settles attempts whose lease has run out, makes attempts that are overdue, repeats reports that had
    no receipt. Any number of processes may sweep one ledger: claims and row locks keep them apart."""

    def __init__(
        self,
        *,
        channel: Channel,
        ledger: Ledger,
        worker: Worker[ContentT],
        trials: Trials[ContentT],
        rota: Rota[ContentT],
        reporter: Reporter,
        interval_s: float,
        report_repeat: timedelta,
        in_flight: Callable[[TargetKey], bool],
    ) -> None:
        self._channel = channel
        self._ledger = ledger
        self._worker = worker
        self._trials = trials
        self._rota = rota
        self._reporter = reporter
        self._interval_s = interval_s
        self._report_repeat = report_repeat
        self._in_flight = in_flight
        self._in_hand: dict[DeliveryKey, asyncio.Task[None]] = {}
        self._kept_at = time.monotonic()

    async def run(self) -> None:
        """Sweep for ever. After an outage of the database, which ends this and has it run again, whoever has
        an outcome in hand is given a moment to settle it before its lease counts as run out."""
        await asyncio.sleep(min(self._interval_s, EXPIRY_GRACE.total_seconds()))
        while True:
            await self._keep_in_hand()
            if await self._ledger.anything_left(
                expired=EXPIRY_GRACE, overdue=OVERDUE_GRACE, unreported=self._report_repeat
            ):
                await self.settle_expired()
                await self.resume_overdue()
                await self.repeat_reports()
            await asyncio.sleep(self._interval_s)

    async def close(self) -> None:
        """Drop what has not been claimed; attempts in flight go on."""
        tasks = tuple(self._in_hand.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle_expired(self) -> None:
        """An expired attempt may have gone out or not: it is never claimed anew, but settled as a doubt."""
        for row in await self._ledger.expired(grace=EXPIRY_GRACE, limit=BATCH):
            if not self._in_flight(row.key):
                await self._settle_as_unknown(row)

    async def resume_overdue(self) -> None:
        """Deliver what is overdue, without the broker; while no provider can be called, one of them, to
        probe."""
        free = MOST_IN_HAND - len(self._in_hand)
        match self._rota.passage:
            case Passage.BLOCKED:
                return
            case Passage.ONE_PROBE:
                free = min(free, 1)
            case Passage.FREE:
                pass
        if free <= 0:
            return
        taken: dict[DeliveryKey, tuple[bytes, int]] = {}
        for row in await self._ledger.take_overdue(grace=OVERDUE_GRACE, limit=free, hold=HOLD):
            if row.request is not None:
                key = DeliveryKey(notification_id=row.key.notification_id, run=row.key.run)
                taken[key] = row.request, row.resumed
        for key, (raw, times) in taken.items():
            if key not in self._in_hand:
                self._in_hand[key] = task = asyncio.create_task(self._deliver(key, raw, times=times))
                task.add_done_callback(partial(self._finished, key))

    async def _keep_in_hand(self) -> None:
        """What waits in hand for its turn is not to be taken for what died with its process."""
        if self._in_hand and time.monotonic() - self._kept_at >= KEEP_EVERY_S:
            self._kept_at = time.monotonic()
            await self._ledger.keep_overdue(list(self._in_hand), hold=HOLD)

    def _finished(self, key: DeliveryKey, _: asyncio.Task[None]) -> None:
        del self._in_hand[key]

    async def repeat_reports(self) -> None:
        """Report again what the gateway has not acknowledged."""
        rows = await self._ledger.take_unreported(after=self._report_repeat, limit=BATCH)
        if rows:
            await self._reporter.repeat(rows)

    async def _deliver(self, key: DeliveryKey, raw: bytes, *, times: int) -> None:
        try:
            request = decode(raw, DeliveryRequested)
        except Undecodable:
            log.exception("ledger.request_undecodable", bytes=len(raw))
            return
        with correlation_scope(request.correlation_id):
            try:
                await self._trials.deliver(request, raw, times=times, known=True)
            except Exception:
                log.exception("delivery.defect", notification_id=str(request.notification_id))
                await self._worker.fail(request, raw, stack=traceback.format_exc())
            await patiently(lambda: self._ledger.clear_overdue(key))

    async def _settle_as_unknown(self, row: LedgerRow) -> None:
        if row.request is None or row.provider is None:
            log.error("ledger.row_incomplete", notification_id=str(row.key.notification_id))
            return
        try:
            request = decode(row.request, DeliveryRequested)
        except Undecodable:
            log.exception("ledger.request_undecodable", notification_id=str(row.key.notification_id))
            return
        outcome = Unknown(problem=LEASE_EXPIRED)
        settlement = settle(
            outcome,
            Circumstances(
                earlier=row.attempts,
                category=request.category,
                chance=0.0,
                age=age_at(row.updated_at, row.attempts),
                repeated=row.possible_duplicate,
                recourse=self._rota.recourse_of(row.provider),
            ),
        )
        entry = Attempt(
            number=row.attempt,
            provider=row.provider,
            outcome="unknown",
            problem=LEASE_EXPIRED,
            started_at=row.updated_at,
            duration_ms=0,
        )
        settled = await self._ledger.settle(
            SettledAttempt(
                key=row.key,
                attempt=row.attempt,
                settlement=settlement,
                provider_message_id=None,
                problem=LEASE_EXPIRED,
                entry=entry,
            )
        )
        if settled is None:
            return
        log.warning(
            "lease.expired",
            notification_id=str(row.key.notification_id),
            target=row.key.target,
            attempt=row.attempt,
            state=settled.state.value,
        )
        if settlement.possible_duplicate:
            metrics.POSSIBLE_DUPLICATES.labels(self._channel.value).inc()
        with correlation_scope(row.correlation_id):
            await self._reporter.report(settled)
