"""Accepting a notification for good: committed, once for its key, and handed to the relay.

Requests that arrive together share a commit. Whoever has an answer has it after COMMIT.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import asyncpg

from gateway_service.domain.counting import ACCEPTED
from gateway_service.domain.refusals import Invalid, KeyInProgress, KeyReused, NotNow, Refused
from gateway_service.storage.acceptance import (
    FirstAnswer,
    InProgress,
    KeyClaim,
    KeyHolder,
    Submission,
    accept,
    key_holders,
)
from gateway_service.storage.notifications import Notification
from shared.database.engine import Connection, Database
from shared.database.errors import DatabaseUnavailable, Overloaded, unavailability
from shared.database.group_commit import GroupCommit
from shared.process.crash_points import CrashPoint, reach

_TRIES = 3
SHORT_PATIENCE_MS = 100
"""For a key that is known to be held up, so that one stuck request does not delay a whole group."""
GATHER_S = 0.002
"""Short: whoever was looked up together comes here together."""
MOST_IN_ONE = 64
"""More share a commit hardly better, and would all be answered in one round of the event loop."""
NOT_STORABLE = "PostgreSQL cannot store what this holds"
ASK_AGAIN = "It is not known whether this was stored; ask again with the same idempotency key"


class HandOff(Protocol):
    """Takes what was committed and is due at once. Never blocks; what it drops, the sweep finds."""

    def offer(self, notifications: Sequence[Notification]) -> None:
        """Publish soon."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the sender is told; `replayed` where it had been told before."""

    first: FirstAnswer
    replayed: bool


class Submissions:
    """The way into the database for single notifications. `within_s`: how long each may take; one that comes
    while groups before it wait for a database that stands still would wait for those, and then as long again
    for itself."""

    def __init__(self, database: Database, hand_off: HandOff, *, within_s: float) -> None:
        self._database = database
        self._within_s = within_s
        self._hand_off = hand_off
        self._group: GroupCommit[Submission, Answer | Exception] = GroupCommit(
            self._flush, name="acceptance", max_wait_s=GATHER_S, max_batch=MOST_IN_ONE
        )

    async def start(self) -> None:
        """Begin to take notifications."""
        await self._group.start()

    async def close(self) -> None:
        """Commit what was taken."""
        await self._group.close()

    async def submit(self, notification: Notification, claim: KeyClaim | None) -> Answer:
        """Returns after COMMIT. Raises KeyReused, KeyInProgress, and NotNow where nobody can say whether
        it was stored."""
        try:
            async with asyncio.timeout(self._within_s):
                outcome = await self._group.submit(Submission(notification=notification, claim=claim))
        except TimeoutError as error:
            raise NotNow(ASK_AGAIN) from error
        except Overloaded as error:
            raise NotNow("Too much is waiting to be stored; ask again") from error
        except DatabaseUnavailable as error:
            raise NotNow(ASK_AGAIN) from error
        except asyncpg.DataError as error:
            raise Invalid(NOT_STORABLE) from error
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def replay(self, owner: UUID, claim: KeyClaim) -> Answer | None:
        """The first answer to this very request, if there was one; a check that fails today does not undo
        what was accepted before. Raises KeyReused and NotNow."""
        try:
            async with self._database.connection() as connection:
                holders = await key_holders(connection, [(owner, claim.key)])
        except DatabaseUnavailable as error:
            raise NotNow(ASK_AGAIN) from error
        holder = holders.get((owner, claim.key))
        if holder is None:
            return None
        outcome = answer_of(holder, claim)
        if isinstance(outcome, Refused):
            raise outcome
        return outcome

    async def _flush(self, submissions: list[Submission]) -> list[Answer | Exception]:
        async with self._database.connection() as connection:
            stored, failed = await _accept_patiently(connection, submissions)
            reach(CrashPoint.ACCEPT_COMMITTED)
            won = [item.notification for item in submissions if item.notification.id in stored]
            # Here and not in `submit`: a caller that hung up must not cost its notification two seconds.
            self._hand_off.offer(won)
            count_accepted(won)
        lost = [
            (item.notification.owner, item.claim.key)
            for item in submissions
            if item.claim is not None and item.notification.id not in stored | failed.keys()
        ]
        holders = await self._holders(lost) if lost else {}
        return [failed.get(item.notification.id) or _outcome(item, stored, holders) for item in submissions]

    async def _holders(self, keys: list[tuple[UUID, str]]) -> dict[tuple[UUID, str], KeyHolder]:
        try:
            async with self._database.connection() as connection:
                return await key_holders(connection, keys)
        except DatabaseUnavailable:
            # The winners of the group are committed all the same; only the others cannot be told.
            return {}


async def _accept_patiently(
    connection: Connection, submissions: Sequence[Submission]
) -> tuple[set[UUID], dict[UUID, Exception]]:
    """The ids that were stored, and why others were not."""
    for _ in range(_TRIES - 1):
        try:
            return await accept(connection, submissions), {}
        except InProgress:
            return await _accept_one_by_one(connection, submissions)
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            continue
    return await accept(connection, submissions), {}


async def _accept_one_by_one(
    connection: Connection, submissions: Sequence[Submission]
) -> tuple[set[UUID], dict[UUID, Exception]]:
    """Each commits by itself, so from the first one on no error may leave here and have the group halved."""
    free = [item for item in submissions if item.claim is None]
    stored = await accept(connection, free) if free else set()
    failed: dict[UUID, Exception] = {}
    for item in submissions:
        if item.claim is not None:
            try:
                stored |= await accept(connection, [item], patience_ms=SHORT_PATIENCE_MS)
            except InProgress:
                failed[item.notification.id] = _in_progress()
            except Exception as error:
                if unavailability(error) is not None:
                    raise
                failed[item.notification.id] = error
    return stored, failed


def _outcome(
    item: Submission, stored: set[UUID], holders: dict[tuple[UUID, str], KeyHolder]
) -> Answer | Refused:
    if item.notification.id in stored:
        return Answer(first=first_answer(item.notification), replayed=False)
    claim = item.claim
    holder = holders.get((item.notification.owner, claim.key)) if claim is not None else None
    return _in_progress() if claim is None or holder is None else answer_of(holder, claim)


def _in_progress() -> KeyInProgress:
    return KeyInProgress("A request with this idempotency key is being worked on; ask again")


def answer_of(holder: KeyHolder, claim: KeyClaim) -> Answer | Refused:
    """What somebody who lost a key to `holder` is told."""
    if holder.fingerprint != claim.fingerprint:
        return KeyReused("This idempotency key was used for another request")
    if holder.first is None:
        return KeyInProgress("The request with this idempotency key cannot be answered again")
    return Answer(first=holder.first, replayed=True)


def first_answer(new: Notification) -> FirstAnswer:
    """What is told of a notification that was just accepted."""
    return FirstAnswer(
        id=new.id,
        status=new.status.value,
        user_id=new.user_id,
        notification_type=new.channel.value,
        template_code=new.template_code,
        priority=new.priority,
        category=new.category,
        metadata=new.metadata,
        scheduled_at=new.scheduled_at,
        created_at=new.created_at,
    )


def count_accepted(notifications: Sequence[Notification]) -> None:
    """Into the metrics."""
    for new in notifications:
        ACCEPTED.labels(new.channel.value, new.lane.value).inc()
