"""The way of one message through a channel: prepare, take a turn, attempt, and say when it must come back."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID, uuid4

import structlog

from shared.contracts.channels import Lane
from shared.contracts.delivery import (
    TERMINAL_STATES,
    DeliveryKey,
    DeliveryRequested,
    DeliveryState,
    Problem,
)
from shared.database.errors import DatabaseError
from shared.delivery.call import Call, CallEnded
from shared.delivery.calling import Caller
from shared.delivery.doubts import Doubts
from shared.delivery.endings import Endings, opening_of
from shared.delivery.ledger import Ledger
from shared.delivery.ledger_rows import LedgerRow, Opening
from shared.delivery.patience import patiently
from shared.delivery.preparation import Ended, Preparation, Prepared
from shared.delivery.provider import Target
from shared.delivery.retry import DoubtStep
from shared.delivery.rota import Rota, Turn
from shared.delivery.slots import Slots
from shared.process.crash_points import CrashPoint, reach

log = structlog.get_logger()
ContentT = TypeVar("ContentT")

WAIT_IN_HAND_S = 5.0
"""A copy that comes at most this many seconds before its attempt is due is held; an earlier one is dropped,
since the ledger brings the message back. As long is waited for a provider that can be called."""
_STEPS_WITHOUT_A_CALL = (DoubtStep.ASK, DoubtStep.AWAIT_CALLBACK)
WAIT_FOR_PEERS_S = 60.0
"""A broker takes back what nobody acknowledges for long (RabbitMQ: half an hour), and counts that."""
CLAIM_PAUSE_S = 1.0
COME_BACK_LATER = 3
"""The broker's step for a message that cannot be attempted now, through no fault of its own."""
DEFECT = Problem(kind="internal.defect", message="Carillon itself failed to deliver this message.")
ADDRESS_GONE = Ended(
    state=DeliveryState.FAILED,
    problem=Problem(
        kind="recipient.address_gone", message="The address or device is no longer the recipient's."
    ),
)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """A target still to be delivered to; `row` is what the ledger has of it, None before it is opened."""

    target: Target
    opening: Opening
    row: LedgerRow | None


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
        doubts: Doubts[ContentT],
        endings: Endings,
        shares: Mapping[Lane, int],
    ) -> None:
        self._preparation = preparation
        self._ledger = ledger
        self._rota = rota
        self._dry_run = dry_run
        self._caller = caller
        self._doubts = doubts
        self._endings = endings
        self._slots = Slots(shares)
        self._in_hand: dict[tuple[UUID, int], asyncio.Event] = {}

    async def deliver(
        self, request: DeliveryRequested, raw: bytes, *, known: bool, alone: bool = False
    ) -> int | None:
        """Deliver as far as it can be done now. Returns the broker's delay step after which the message is to
        come back, or None where it has ended or the ledger brings it back.

        `known`: the ledger may have met this message before, so it is read first; otherwise it is read only
        where the first claim shows it. A copy of what is in hand waits until that has ended, since the
        broker may have given up the first: then it finds in the ledger what there is left to do.
        `alone`: nothing else may go on meanwhile, so nobody who is away is waited for.
        """
        key = (request.notification_id, request.run)
        while key in self._in_hand:
            await self._in_hand[key].wait()
            known = True
        self._in_hand[key] = asyncio.Event()
        try:
            return await self._deliver(request, raw, known=known, wait_s=0.0 if alone else WAIT_FOR_PEERS_S)
        finally:
            self._in_hand.pop(key).set()

    async def fail(
        self, request: DeliveryRequested, raw: bytes, *, problem: Problem = DEFECT, stack: str | None
    ) -> None:
        """End what our own code cannot deliver: parked with the stack trace, for an operator. What is being
        sent at this moment is left to its attempt."""
        known = await self._rows(request)
        rows = [row for row in known if row.state not in TERMINAL_STATES]
        if rows or not known:
            await self._endings.conclude(
                request, raw, rows, Ended(state=DeliveryState.FAILED, problem=problem), stack=stack
            )

    async def _deliver(
        self, request: DeliveryRequested, raw: bytes, *, known: bool, wait_s: float
    ) -> int | None:
        rows = await self._rows(request) if known else []
        if rows:
            rows = [row for row in rows if _can_go_on(row)]
            if not rows:
                return None
            await asyncio.sleep(max(row.due_in_s or 0.0 for row in rows))
            asked = [row for row in rows if row.doubt in _STEPS_WITHOUT_A_CALL]
            if asked:
                await asyncio.gather(*(self._doubts.pursue(request, row) for row in asked))
                return await self._deliver(request, raw, known=True, wait_s=wait_s)
        prepared = await self._preparation.prepare(request, wait_s=wait_s)
        if prepared is None:
            return COME_BACK_LATER
        if isinstance(prepared, Ended):
            await self._endings.conclude(request, raw, rows, prepared)
            return None
        reach(CrashPoint.MESSAGE_PREPARED)
        work = await self._work(request, raw, rows, prepared)
        results = await asyncio.gather(*(self._one(request, item, prepared) for item in work))
        if any(not result.claimed for result in results) and not known:
            # The ledger knows it after all: a second copy, or one that came back after a crash.
            return await self._deliver(request, raw, known=True, wait_s=wait_s)
        return min((result.step for result in results if result.step is not None), default=None)

    async def _rows(self, request: DeliveryRequested) -> list[LedgerRow]:
        key = DeliveryKey(notification_id=request.notification_id, run=request.run)
        return await patiently(lambda: self._ledger.rows(key))

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
                opening_of(request, raw, target=target.id, targets=len(prepared.targets))
                for target in prepared.targets
            ]
            if len(openings) > 1:
                await patiently(lambda: self._ledger.open(openings))
                reach(CrashPoint.TARGETS_OPENED)
            return [
                _Work(target=target, opening=opening, row=None)
                for target, opening in zip(prepared.targets, openings, strict=True)
            ]
        by_id = {target.id: target for target in prepared.targets}
        gone = [row for row in rows if row.key.target not in by_id]
        if gone:
            await self._endings.conclude(request, raw, gone, ADDRESS_GONE)
        return [
            _Work(
                target=by_id[row.key.target],
                opening=opening_of(request, raw, target=row.key.target, targets=row.targets),
                row=row,
            )
            for row in rows
            if row.key.target in by_id
        ]

    async def _one(self, request: DeliveryRequested, work: _Work, prepared: Prepared[ContentT]) -> CallEnded:
        rota = self._dry_run if request.test else self._rota
        token = uuid4()
        async with self._slots.one(request.lane) as slot:
            while True:
                turn = await self._turn(rota, work.row)
                if turn is None:
                    return await self._without_turn(request, work.row)
                if prepared.is_fresh and not self._preparation.has_expired(request):
                    call = _call(request, work, prepared, token, called=slot.release)
                    try:
                        return await self._caller.attempt(call, turn, rota=rota)
                    except DatabaseError:
                        log.warning("claim.repeated", notification_id=str(request.notification_id))
                    await asyncio.sleep(CLAIM_PAUSE_S)
                else:
                    rota.cancel(turn)
                again = await self._preparation.prepare(request, wait_s=WAIT_FOR_PEERS_S)
                if again is None:
                    return CallEnded(claimed=True, step=COME_BACK_LATER)
                if isinstance(again, Prepared) and not any(t.id == work.target.id for t in again.targets):
                    again = ADDRESS_GONE
                if isinstance(again, Ended):
                    await self._endings.end(request, again, work.opening, row=work.row)
                    return CallEnded(claimed=True)
                prepared = again

    async def _turn(self, rota: Rota[ContentT], row: LedgerRow | None) -> Turn[ContentT] | None:
        if row is not None and row.doubt is DoubtStep.SAME_KEY:
            return rota.try_turn_at(row.provider or "") if self._doubts.key_is_good(row) else None
        return await rota.next_turn(after=None if row is None else row.provider, within_s=WAIT_IN_HAND_S)

    async def _without_turn(self, request: DeliveryRequested, row: LedgerRow | None) -> CallEnded:
        """No provider can be called: nothing is claimed, no attempt is spent."""
        if row is None or row.doubt is not DoubtStep.SAME_KEY:
            return CallEnded(claimed=True, step=COME_BACK_LATER)
        settlement = await self._doubts.give_up_key(request, row)
        return CallEnded(claimed=True, step=None if settlement is None else settlement.step)


def _can_go_on(row: LedgerRow) -> bool:
    """Whether this copy may make the row's next attempt. What is being sent, has ended, or is due only later
    needs no copy: the ledger looks after it."""
    if row.state not in {DeliveryState.PENDING, DeliveryState.RETRYING}:
        return False
    return row.due_in_s is None or row.due_in_s <= WAIT_IN_HAND_S


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
        row=work.row,
        token=token,
        called=called,
    )
