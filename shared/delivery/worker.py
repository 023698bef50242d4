"""The way of one message through a channel: prepare, take a turn, attempt, and say when it must come back."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar
from uuid import UUID, uuid4

import structlog

from shared.contracts.channels import Lane
from shared.contracts.delivery import (
    TERMINAL_STATES,
    Attempt,
    DeliveryKey,
    DeliveryRequested,
    DeliveryState,
    Problem,
)
from shared.database.errors import DatabaseError
from shared.delivery.calling import Call, CallEnded, Caller
from shared.delivery.ledger import Ledger
from shared.delivery.ledger_rows import Conclusion, LedgerRow, Opening, TargetKey
from shared.delivery.ledger_sql import NO_TARGET
from shared.delivery.preparation import Ended, Preparation, Prepared
from shared.delivery.provider import Target
from shared.delivery.reporter import Reporter
from shared.delivery.rota import Rota, Turn
from shared.delivery.slots import Slots
from shared.process.crash_points import CrashPoint, reach

log = structlog.get_logger()
ContentT = TypeVar("ContentT")
ResultT = TypeVar("ResultT")

WAIT_IN_HAND_S = 5.0
"""A copy that comes at most this many seconds before its attempt is due is held; an earlier one is dropped,
since the ledger brings the message back."""
CLAIM_PAUSE_S = 1.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
ADDRESS_GONE = Ended(
    state=DeliveryState.FAILED,
    problem=Problem(
        kind="recipient.address_gone", message="The address or device is no longer the recipient's."
    ),
)
DOUBT_NOT_REPEATED = Ended(
    state=DeliveryState.UNKNOWN,
    problem=Problem(
        kind="recipient.quiet_hours",
        message="It may have gone out; the recipient's quiet hours have begun, so it was not sent again.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """A target still to be delivered to, with its history in this run."""

    target: Target
    opening: Opening
    attempts: tuple[Attempt, ...]
    number: int
    avoid: str | None


class Worker(Generic[ContentT]):
    """Delivers requests; any number at once, each lane with its own share of the calls.

    `dry_run` stands in for the providers where a request is a test."""

    def __init__(
        self,
        *,
        preparation: Preparation[ContentT],
        ledger: Ledger,
        rota: Rota[ContentT],
        dry_run: Rota[ContentT],
        caller: Caller[ContentT],
        reporter: Reporter,
        shares: Mapping[Lane, int],
    ) -> None:
        self._preparation = preparation
        self._ledger = ledger
        self._rota = rota
        self._dry_run = dry_run
        self._caller = caller
        self._reporter = reporter
        self._slots = Slots(shares)
        self._in_hand: dict[tuple[UUID, int], asyncio.Event] = {}

    async def deliver(self, request: DeliveryRequested, raw: bytes, *, known: bool) -> int | None:
        """Deliver as far as it can be done now. Returns the broker's delay step after which the message is to
        come back, or None where it has ended or the ledger brings it back.

        `known`: the ledger may have met this message before, so it is read first; otherwise it is read only
        where the first claim shows it. A copy of what is in hand waits until that has ended, since the
        broker may have given up the first: then it finds in the ledger what there is left to do.
        """
        key = (request.notification_id, request.run)
        while key in self._in_hand:
            await self._in_hand[key].wait()
            known = True
        self._in_hand[key] = asyncio.Event()
        try:
            return await self._deliver(request, raw, known=known)
        finally:
            self._in_hand.pop(key).set()

    async def fail(self, request: DeliveryRequested, raw: bytes, *, stack: str) -> None:
        """End what our own code cannot deliver: parked with the stack trace, for an operator. What is being
        sent at this moment is left to its attempt."""
        rows = [row for row in await self._rows(request) if row.state not in TERMINAL_STATES]
        problem = Problem(kind="internal.defect", message="Carillon itself failed to deliver this message.")
        await self._conclude(
            request, raw, rows, Ended(state=DeliveryState.FAILED, problem=problem), stack=stack
        )

    async def _deliver(self, request: DeliveryRequested, raw: bytes, *, known: bool) -> int | None:
        rows = await self._rows(request) if known else []
        if rows:
            rows = [row for row in rows if _can_go_on(row)]
            if not rows:
                return None
            await asyncio.sleep(max(row.due_in_s or 0.0 for row in rows))
        prepared = await self._preparation.prepare(request)
        if isinstance(prepared, Ended):
            await self._conclude(request, raw, rows, prepared)
            return None
        reach(CrashPoint.MESSAGE_PREPARED)
        work = await self._work(request, raw, rows, prepared)
        results = await asyncio.gather(*(self._one(request, item, prepared) for item in work))
        if any(not result.claimed for result in results) and not known:
            # The ledger knows it after all: a second copy, or one that came back after a crash.
            return await self._deliver(request, raw, known=True)
        return min((result.step for result in results if result.step is not None), default=None)

    async def _rows(self, request: DeliveryRequested) -> list[LedgerRow]:
        key = DeliveryKey(notification_id=request.notification_id, run=request.run)
        return await _patiently(lambda: self._ledger.rows(key))

    async def _work(
        self,
        request: DeliveryRequested,
        raw: bytes,
        rows: Sequence[LedgerRow],
        prepared: Prepared[ContentT],
    ) -> list[_Work]:
        """What is left to do. All targets of a run stand in the ledger before the first is called, so that a
        crash after one of them leaves the others to be found."""
        if not rows:
            openings = [
                _opening(request, raw, target=target.id, targets=len(prepared.targets))
                for target in prepared.targets
            ]
            if len(openings) > 1:
                await _patiently(lambda: self._ledger.open(openings))
                reach(CrashPoint.TARGETS_OPENED)
            return [
                _Work(target=target, opening=opening, attempts=(), number=1, avoid=None)
                for target, opening in zip(prepared.targets, openings, strict=True)
            ]
        by_id = {target.id: target for target in prepared.targets}
        gone = [row for row in rows if row.key.target not in by_id]
        if gone:
            await self._conclude(request, raw, gone, ADDRESS_GONE)
        return [
            _Work(
                target=by_id[row.key.target],
                opening=_opening(request, raw, target=row.key.target, targets=row.targets),
                attempts=row.attempts,
                number=row.attempt + 1,
                avoid=row.provider,
            )
            for row in rows
            if row.key.target in by_id
        ]

    async def _one(self, request: DeliveryRequested, work: _Work, prepared: Prepared[ContentT]) -> CallEnded:
        rota = self._dry_run if request.test else self._rota
        token = uuid4()
        async with self._slots.one(request.lane) as slot:
            while True:
                turn: Turn[ContentT] = await rota.next_turn(avoid=work.avoid)
                if prepared.is_fresh and not self._preparation.has_expired(request):
                    call = _call(request, work, prepared, token, called=slot.release)
                    try:
                        return await self._caller.attempt(call, turn, rota=rota)
                    except DatabaseError:
                        log.warning("claim.repeated", notification_id=str(request.notification_id))
                    await asyncio.sleep(CLAIM_PAUSE_S)
                else:
                    rota.cancel(turn)
                again = await self._preparation.prepare(request)
                if isinstance(again, Prepared) and not any(t.id == work.target.id for t in again.targets):
                    again = ADDRESS_GONE
                if isinstance(again, Ended):
                    await self._end(request, again, work.opening, attempts=work.attempts)
                    return CallEnded(claimed=True)
                prepared = again

    async def _conclude(
        self,
        request: DeliveryRequested,
        raw: bytes,
        rows: Sequence[LedgerRow],
        ended: Ended,
        *,
        stack: str | None = None,
    ) -> None:
        if not rows:
            whole = _opening(request, raw, target=NO_TARGET, targets=1)
            await self._end(request, ended, whole, attempts=(), stack=stack)
        for row in rows:
            opening = _opening(request, raw, target=row.key.target, targets=row.targets)
            await self._end(request, ended, opening, attempts=row.attempts, stack=stack)

    async def _end(
        self,
        request: DeliveryRequested,
        ended: Ended,
        opening: Opening,
        *,
        attempts: Sequence[Attempt],
        stack: str | None = None,
    ) -> None:
        doubted = any(attempt.outcome == "unknown" for attempt in attempts)
        if doubted and ended.state is DeliveryState.DEFERRED:
            # A later run knows nothing of this one's doubt, and would send a second copy in silence.
            ended = DOUBT_NOT_REPEATED
        conclusion = Conclusion(
            opening=opening,
            state=ended.state,
            problem=ended.problem,
            deferred_until=ended.deferred_until,
        )
        row = await _patiently(partial(self._ledger.conclude, conclusion))
        if row is not None:
            log.info(
                "delivery.ended",
                notification_id=str(request.notification_id),
                run=request.run,
                state=ended.state.value,
                problem=ended.problem.kind,
            )
            await self._reporter.report(row, stack=stack)


def _can_go_on(row: LedgerRow) -> bool:
    """Whether this copy may make the row's next attempt. What is being sent, has ended, or is due only later
    needs no copy: the ledger looks after it."""
    if row.state not in {DeliveryState.PENDING, DeliveryState.RETRYING}:
        return False
    return row.due_in_s is None or row.due_in_s <= WAIT_IN_HAND_S


def _opening(request: DeliveryRequested, raw: bytes, *, target: str, targets: int) -> Opening:
    key = TargetKey(notification_id=request.notification_id, run=request.run, target=target)
    return Opening(key=key, targets=targets, request=raw, correlation_id=request.correlation_id)


def _call(
    request: DeliveryRequested,
    work: _Work,
    prepared: Prepared[ContentT],
    token: UUID,
    *,
    called: Callable[[], None],
) -> Call[ContentT]:
    """With the address as it is now: of the same device or address, but just looked up."""
    return Call(
        request=request,
        opening=work.opening,
        target=next(target for target in prepared.targets if target.id == work.target.id),
        content=prepared.content,
        attempt=work.number,
        earlier=work.attempts,
        token=token,
        called=called,
    )


async def _patiently(ask: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Ask the ledger until it answers: while its database is away, messages wait in hand and in queues."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await ask()
        except DatabaseError:
            log.warning("ledger.away", pause_s=pause_s)
        await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
