"""Accepting a batch: its entries in one transaction, the answer kept beside the key of the whole."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import UUID

from gateway_service.domain.refusals import (
    Invalid,
    KeyInProgress,
    KeyReused,
    NotNow,
    Refused,
)
from gateway_service.domain.submission import (
    ASK_AGAIN,
    NOT_STORABLE,
    SHORT_PATIENCE_MS,
    HandOff,
    answer_of,
    count_accepted,
)
from gateway_service.storage.acceptance import (
    PATIENCE_MS,
    InProgress,
    KeyClaim,
    Submission,
    accept,
    key_holders,
)
from gateway_service.storage.batches import BatchHolder, batch_holder, claim_batch, keep_answer
from gateway_service.storage.notifications import Notification
from shared.contracts.http.base import FieldProblem, ProblemBody
from shared.contracts.http.notification_answers import BatchAccepted, BatchResult
from shared.database.engine import Connection, Database
from shared.database.errors import DatabaseUnavailable, unavailability
from shared.process.clock import Clock
from shared.process.crash_points import CrashPoint, reach
from shared.web.problems import TYPE_PREFIX

AT_ONCE = 2
MOST_WAITING = 100
"""More than there are places for batches by default: whoever has been admitted is not refused here, after
all the work of looking people up, but where an operator has made more places."""
BREATHE_EVERY = 50
"""Entries whose answers are written before other requests get their turn."""


@dataclass(frozen=True, kw_only=True)
class BatchEntry:
    """One entry after the checks: a notification to store, why it is refused, or the id of what was accepted
    for its key before. `claim`: its own key."""

    outcome: Notification | Refused | UUID
    claim: KeyClaim | None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What is to be stored together. `claim`: the key of the whole batch."""

    batch_id: UUID
    owner: UUID
    claim: KeyClaim | None
    entries: Sequence[BatchEntry]


@dataclass(frozen=True, kw_only=True)
class BatchAnswer:
    """What the sender is told, as JSON; `replayed` where it had been told before."""

    body: bytes
    replayed: bool


class Batches:
    """The way into the database for batches: few at a time, since each is a large transaction."""

    def __init__(self, database: Database, hand_off: HandOff, clock: Clock) -> None:
        self._database = database
        self._hand_off = hand_off
        self._clock = clock
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def replay(self, owner: UUID, claim: KeyClaim) -> BatchAnswer | None:
        """The first answer to this very batch, if there was one. Raises KeyReused and NotNow."""
        try:
            async with self._database.connection() as connection:
                holder = await batch_holder(connection, owner=owner, key=claim.key)
        except DatabaseUnavailable as error:
            raise NotNow(ASK_AGAIN) from error
        return None if holder is None else _replayed(holder, claim)

    async def answered_before(
        self, owner: UUID, claims: Sequence[KeyClaim]
    ) -> Mapping[KeyClaim, UUID | Refused]:
        """What became of these entries' keys: the id that was accepted for it, or KeyReused; nothing where
        the key is new. Raises NotNow."""
        try:
            async with self._database.connection() as connection:
                holders = await key_holders(connection, [(owner, claim.key) for claim in claims])
        except DatabaseUnavailable as error:
            raise NotNow(ASK_AGAIN) from error
        known = {claim: holders[owner, claim.key] for claim in claims if (owner, claim.key) in holders}
        answers = {claim: answer_of(holder, claim) for claim, holder in known.items()}
        return {
            claim: answer if isinstance(answer, Refused) else answer.first.id
            for claim, answer in answers.items()
        }

    async def submit(self, batch: Batch) -> BatchAnswer:
        """Returns after COMMIT. Raises KeyReused, KeyInProgress, and NotNow."""
        if self._waiting >= MOST_WAITING:
            raise NotNow("Too many batches wait to be stored; ask again")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._submit(batch)
        except InProgress as error:
            raise KeyInProgress("A batch with this idempotency key is being worked on; ask again") from error
        except DatabaseUnavailable as error:
            raise NotNow(ASK_AGAIN) from error
        finally:
            self._waiting -= 1

    async def _submit(self, batch: Batch) -> BatchAnswer:
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._database.transaction())
            if batch.claim is not None:
                holder = await claim_batch(
                    connection,
                    owner=batch.owner,
                    claim=batch.claim,
                    batch_id=batch.batch_id,
                    at=self._clock.now(),
                )
                if holder is not None:
                    return _replayed(holder, batch.claim)
            results, won = await _store(connection, batch.entries)
            body = await _answer(batch.batch_id, results)
            if batch.claim is not None:
                await keep_answer(connection, owner=batch.owner, key=batch.claim.key, response=body)
        # Out of the block and so committed.
        reach(CrashPoint.ACCEPT_COMMITTED)
        self._hand_off.offer(won)
        count_accepted(won)
        return BatchAnswer(body=body, replayed=False)


async def _store(
    connection: Connection, entries: Sequence[BatchEntry]
) -> tuple[list[UUID | Refused], list[Notification]]:
    submissions = [
        Submission(notification=entry.outcome, claim=entry.claim)
        for entry in entries
        if isinstance(entry.outcome, Notification)
    ]
    stored, refused = await _isolate(connection, submissions, patience_ms=PATIENCE_MS)
    lost = [
        (item.notification.owner, item.claim.key)
        for item in submissions
        if item.claim is not None
        and item.notification.id not in stored
        and item.notification.id not in refused
    ]
    holders = await key_holders(connection, lost) if lost else {}
    results: list[UUID | Refused] = []
    won: list[Notification] = []
    for entry in entries:
        new = entry.outcome
        if isinstance(new, Refused | UUID):
            results.append(new)
        elif new.id in stored:
            won.append(new)
            results.append(new.id)
        elif new.id in refused:
            results.append(refused[new.id])
        else:
            holder = holders.get((new.owner, entry.claim.key)) if entry.claim is not None else None
            if holder is None or entry.claim is None:
                results.append(KeyInProgress("A request with this idempotency key is being worked on"))
            else:
                answer = answer_of(holder, entry.claim)
                results.append(answer if isinstance(answer, Refused) else answer.first.id)
    return results, won


async def _isolate(
    connection: Connection, submissions: Sequence[Submission], *, patience_ms: int
) -> tuple[set[UUID], Mapping[UUID, Refused]]:
    """Store all in a savepoint; where the data fail, halve until each culprit stands alone."""
    if not submissions:
        return set(), {}
    try:
        async with connection.transaction():
            return await accept(connection, submissions, patience_ms=patience_ms), {}
    except Exception as error:
        if unavailability(error) is not None:
            raise
        patience_ms = SHORT_PATIENCE_MS if isinstance(error, InProgress) else patience_ms
        if len(submissions) == 1:
            return set(), {submissions[0].notification.id: _refusal(error)}
    middle = len(submissions) // 2
    stored, refused = await _isolate(connection, submissions[:middle], patience_ms=patience_ms)
    more_stored, more_refused = await _isolate(connection, submissions[middle:], patience_ms=patience_ms)
    return stored | more_stored, {**refused, **more_refused}


def _refusal(error: Exception) -> Refused:
    if isinstance(error, InProgress):
        return KeyInProgress("A request with this idempotency key is being worked on; ask again")
    return Invalid(NOT_STORABLE)


def _replayed(holder: BatchHolder, claim: KeyClaim) -> BatchAnswer:
    if holder.fingerprint != claim.fingerprint:
        raise KeyReused("This idempotency key was used for another request")
    if holder.response is None:
        raise KeyInProgress("The request with this idempotency key cannot be answered again")
    return BatchAnswer(body=holder.response, replayed=True)


async def _answer(batch_id: UUID, results: Sequence[UUID | Refused]) -> bytes:
    accepted = sum(isinstance(result, UUID) for result in results)
    told: list[BatchResult] = []
    for index, result in enumerate(results):
        if index % BREATHE_EVERY == 0:
            await asyncio.sleep(0)
        told.append(
            BatchResult(index=index, id=result)
            if isinstance(result, UUID)
            else BatchResult(index=index, error=problem_of(result))
        )
    return (
        BatchAccepted(
            batch_id=batch_id,
            accepted=accepted,
            rejected=len(results) - accepted,
            results=tuple(told),
        )
        .model_dump_json(exclude_none=True)
        .encode()
    )


def problem_of(refused: Refused) -> ProblemBody:
    """A refusal in a batch's results, in the words that a single request would get."""
    return ProblemBody(
        type=TYPE_PREFIX + refused.kind,
        title=refused.title,
        status=refused.status,
        detail=refused.detail,
        errors=tuple(FieldProblem(field=error.field, message=error.message) for error in refused.errors),
    )
