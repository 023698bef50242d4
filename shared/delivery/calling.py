"""One attempt: claim, call, settle, report. Once begun it runs to its end, whatever becomes of its caller."""

import asyncio
import random
import time
import traceback
from collections.abc import Sequence
from datetime import timedelta
from typing import Generic, TypeVar

import structlog

from shared.contracts.channels import Channel
from shared.contracts.delivery import (
    Attempt,
    DeliveryReported,
    DeliveryRequested,
    Problem,
)
from shared.database.errors import DatabaseError
from shared.delivery import metrics
from shared.delivery.call import Call, CallEnded, sending_report
from shared.delivery.evidence import goes_on_throttling, id_of, message_id_of, storable
from shared.delivery.ledger import Ledger
from shared.delivery.ledger_rows import Claim, LedgerRow, SettledAttempt, TargetKey
from shared.delivery.outcomes import Accepted, Outcome, Retryable, Unknown
from shared.delivery.provider import Provider, ProviderCall
from shared.delivery.reporter import Reporter
from shared.delivery.retry import Circumstances, age_at, settle
from shared.delivery.rota import Passage, Rota, Turn
from shared.process.clock import Clock
from shared.process.crash_points import CrashPoint, reach

log = structlog.get_logger()
ContentT = TypeVar("ContentT")

SLOW_CALL_S = 1.0
"""A call that takes longer, in seconds, is reported as `sending` while it goes on."""
LONGEST_PAUSE_S = 2.0
DEADLINE_PASSED = Problem(kind="deadline.passed", message="The time to send it was up before it was sent.")


class Caller(Generic[ContentT]):
    """Makes attempts, and keeps the leases of those in flight alive."""

    def __init__(
        self,
        *,
        channel: Channel,
        ledger: Ledger,
        reporter: Reporter,
        clock: Clock,
        lease_margin_s: float,
        longer_waits_s: Sequence[float] = (),
    ) -> None:
        self._channel = channel
        self._ledger = ledger
        self._reporter = reporter
        self._clock = clock
        self._lease_margin_s = lease_margin_s
        self._longer_waits_s = longer_waits_s
        self._running: set[asyncio.Task[CallEnded]] = set()
        self._leased: dict[int, Claim] = {}

    async def attempt(self, call: Call[ContentT], turn: Turn[ContentT], *, rota: Rota[ContentT]) -> CallEnded:
        """Make one attempt with the turn given, and give the turn back to its rota. Cancelling the caller
        does not end the attempt. Raises DatabaseError where the claim could not be written; no provider
        was called then."""
        task = asyncio.create_task(self._attempt(call, turn, rota))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    def is_calling(self, key: TargetKey) -> bool:
        """Whether an attempt for this target is in flight here, or its outcome not yet settled."""
        return any(claim.opening.key == key for claim in self._leased.values())

    async def finish(self, *, grace_s: float) -> None:
        """Wait for the attempts in flight; what has not ended in `grace_s` seconds is left to the ledger."""
        if self._running:
            _, left = await asyncio.wait(self._running, timeout=grace_s)
            if left:
                log.warning("delivery.left_in_flight", attempts=len(left))

    async def keep_leases(self) -> None:
        """Renew the leases of calls in flight, for ever."""
        while True:
            await asyncio.sleep(self._lease_margin_s / 3)
            await self.renew_leases()

    async def renew_leases(self) -> None:
        """Now. Raises DatabaseUnavailable."""
        if self._leased:
            await self._ledger.renew(list(self._leased.values()))

    async def _attempt(self, call: Call[ContentT], turn: Turn[ContentT], rota: Rota[ContentT]) -> CallEnded:
        provider = turn.provider
        claim = Claim(
            opening=call.opening,
            attempt=call.attempt,
            provider=provider.name,
            lease=timedelta(seconds=provider.timeout_s + self._lease_margin_s),
            token=call.token,
        )
        # The deadline is taken before the claim, so that on whichever clock it ends before the lease.
        deadline = time.monotonic() + self._time_left_s(call.request, most=provider.timeout_s)
        try:
            claimed = await self._ledger.claim(claim)
        except BaseException:
            rota.cancel(turn)
            raise
        if not claimed:
            rota.cancel(turn)
            return CallEnded(claimed=False)
        reach(CrashPoint.CLAIM_COMMITTED)
        self._leased[id(claim)] = claim
        try:
            return await self._call_and_settle(call, turn, rota, deadline=deadline)
        finally:
            del self._leased[id(claim)]

    async def _call_and_settle(
        self, call: Call[ContentT], turn: Turn[ContentT], rota: Rota[ContentT], *, deadline: float
    ) -> CallEnded:
        started_at, began = self._clock.now(), time.monotonic()
        try:
            outcome, stack = await self._call(call, turn.provider, deadline=deadline)
        except BaseException:
            rota.cancel(turn)
            raise
        took_s = time.monotonic() - began
        reach(CrashPoint.PROVIDER_ANSWERED)
        rota.finish(turn, outcome)
        call.called()
        kind = type(outcome).__name__.lower()
        problem = None if isinstance(outcome, Accepted) else storable(outcome.problem)
        entry = Attempt(
            number=call.attempt,
            provider=turn.provider.name,
            outcome=kind,
            problem=problem,
            started_at=started_at,
            duration_ms=round(took_s * 1000),
        )
        settlement = settle(outcome, self._circumstances(call, turn.provider, rota))
        row = await self._settle(
            SettledAttempt(
                key=call.opening.key,
                attempt=call.attempt,
                settlement=settlement,
                provider_message_id=id_of(outcome),
                problem=problem,
                entry=None if goes_on_throttling(entry, call.earlier) else entry,
            )
        )
        reach(CrashPoint.SETTLEMENT_COMMITTED)
        self._count(call, turn.provider.name, kind=kind, took_s=took_s)
        log.info(
            "attempt.settled",
            notification_id=str(call.request.notification_id),
            run=call.request.run,
            target=call.target.id,
            attempt=call.attempt,
            provider=turn.provider.name,
            outcome=kind,
            problem=None if problem is None else problem.kind,
            duration_ms=entry.duration_ms,
        )
        if row is None:
            metrics.LATE_RESULTS.labels(self._channel.value).inc()
            return CallEnded(claimed=True)
        if settlement.possible_duplicate:
            metrics.POSSIBLE_DUPLICATES.labels(self._channel.value).inc()
        await self._reporter.report(row, stack=stack)
        reach(CrashPoint.OUTCOME_REPORTED)
        return CallEnded(claimed=True, step=settlement.step)

    async def _call(
        self, call: Call[ContentT], provider: Provider[ContentT], *, deadline: float
    ) -> tuple[Outcome, str | None]:
        if time.monotonic() >= deadline:
            # The claim took its time, or this process stood still: what comes now is not ours to send.
            return Retryable(problem=DEADLINE_PASSED, provider_at_fault=False), None
        announcement = asyncio.get_running_loop().call_later(SLOW_CALL_S, self._announce, call, provider.name)
        try:
            async with asyncio.timeout(provider.timeout_s + 1):
                return await provider.send(self._provider_call(call, deadline)), None
        except TimeoutError:
            problem = Problem(kind="provider.timeout", message="The provider did not answer in time.")
            return Unknown(problem=problem), None
        except (Exception, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # A provider that raises has a defect; whether the message went out cannot be told.
            log.exception("provider.raised", provider=provider.name)
            problem = Problem(kind="provider.defect", message="Calling the provider failed in our own code.")
            return Unknown(problem=problem), traceback.format_exc()
        finally:
            announcement.cancel()

    def _provider_call(self, call: Call[ContentT], deadline: float) -> ProviderCall[ContentT]:
        request = call.request
        return ProviderCall(
            notification_id=request.notification_id,
            run=request.run,
            attempt=call.attempt,
            message_id=message_id_of(call.opening.key, targets=call.opening.targets),
            category=request.category,
            target=call.target,
            content=call.content,
            created_at=request.created_at,
            deadline=deadline,
            correlation_id=request.correlation_id,
        )

    def _time_left_s(self, request: DeliveryRequested, *, most: float) -> float:
        """Seconds in which the call must have been made: never after `expires_at`."""
        if request.expires_at is None:
            return most
        return min(most, (request.expires_at - self._clock.now()).total_seconds())

    def _circumstances(
        self, call: Call[ContentT], provider: Provider[ContentT], rota: Rota[ContentT]
    ) -> Circumstances:
        now, expires_at = self._clock.now(), call.request.expires_at
        return Circumstances(
            earlier=call.earlier,
            category=call.request.category,
            age=age_at(now, call.earlier),
            chance=random.random(),
            doubt=None if call.row is None else call.row.doubt,
            repeated=call.row is not None and call.row.possible_duplicate,
            recourse=provider.recourse,
            elsewhere=rota.passage is Passage.FREE,
            expires_in=None if expires_at is None else expires_at - now,
            longer_waits_s=self._longer_waits_s,
        )

    def _announce(self, call: Call[ContentT], provider: str) -> None:
        report = sending_report(call, channel=self._channel, provider=provider, at=self._clock.now())
        announcing = asyncio.create_task(self._announced(report))
        self._running.add(announcing)
        announcing.add_done_callback(self._running.discard)

    async def _announced(self, report: DeliveryReported) -> CallEnded:
        await self._reporter.announce(report)
        return CallEnded(claimed=True)

    async def _settle(self, settled: SettledAttempt) -> LedgerRow | None:
        """Until it is committed or the process dies: an outcome that is not written would be forgotten."""
        pause_s = 0.05
        while True:
            try:
                return await self._ledger.settle(settled)
            except DatabaseError:
                log.warning("settlement.repeated", notification_id=str(settled.key.notification_id))
            except Exception:
                # Unexpected, and no reason to forget what the provider said.
                log.exception("settlement.refused", notification_id=str(settled.key.notification_id))
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _count(self, call: Call[ContentT], provider: str, *, kind: str, took_s: float) -> None:
        channel = self._channel.value
        metrics.ATTEMPTS.labels(channel, provider, kind).inc()
        metrics.CALL_SECONDS.labels(channel, provider).observe(took_s)
        if kind == "accepted" and call.attempt == 1 and call.request.run == 1:
            since = (self._clock.now() - call.request.created_at).total_seconds()
            metrics.ACCEPT_TO_PROVIDER_SECONDS.labels(channel, call.request.lane.value).observe(
                max(since, 0.0)
            )
