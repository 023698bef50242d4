"""What a job would do, by what is known now; nothing is changed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

from gateway_service.domain.recipients import RecipientSource
from gateway_service.domain.sendability import Sendability, sendability
from gateway_service.storage.failure_reads import count_failures
from gateway_service.storage.failure_selection import FailureSelection
from gateway_service.storage.likely_duplicates import said_already
from gateway_service.storage.reprocessing import Candidate, read_candidates
from shared.clients.peer import PeerError
from shared.contracts.http.reprocessing import EXAMINED_AT_MOST, BulkReprocessRequest, DryRun
from shared.contracts.recipients import Address, Recipient, RecipientAnswer, RecipientQuestion
from shared.database.engine import Database
from shared.delivery.consent import Suppress, decide
from shared.process.clock import Clock

CHUNK = 500
"""Failures looked at in one go: the user service takes a question about 1,000 people."""


class DryRuns:
    """Looks at the failures as a job would find them, and asks for their recipients' wishes."""

    def __init__(self, database: Database, clock: Clock, recipients: RecipientSource) -> None:
        self._database = database
        self._clock = clock
        self._recipients = recipients

    async def of(self, request: BulkReprocessRequest, *, owner: UUID | None) -> DryRun:
        """At most 10,000 are examined, the oldest first. Raises DatabaseUnavailable."""
        condition = FailureSelection(filter=request.filter, owner=owner).condition
        async with self._database.connection() as connection:
            matching = await count_failures(connection, condition)
        wanted = min(matching, request.limit or matching)
        found = Counter[Sendability]()
        opted_out, duplicates, examined, after = 0, 0, 0, UUID(int=0)
        everybody_known = True
        seen: set[tuple[str, str, str]] = set()
        handled: set[UUID] = set()
        while examined < min(wanted, EXAMINED_AT_MOST):
            size = min(CHUNK, wanted - examined, EXAMINED_AT_MOST - examined)
            async with self._database.connection() as connection:
                chunk = await read_candidates(connection, condition.and_("f.id > {}", after), limit=size)
                if not chunk:
                    break
                said = await said_already(connection, _notifications(chunk))
            after = chunk[-1].id
            examined += len(chunk)
            ready = self._ready(chunk, found, handled)
            wishes = await self._wishes(ready)
            everybody_known = everybody_known and wishes is not None
            for candidate in ready:
                if wishes is not None and self._opted_out(candidate, wishes):
                    found[Sendability.READY] -= 1
                    opted_out += 1
                    continue
                words = said_to(candidate)
                duplicates += candidate.notification_id in said or words in seen
                seen.add(words)
        return DryRun(
            matching=matching,
            examined=examined,
            unreadable=found[Sendability.UNREADABLE],
            expired=found[Sendability.EXPIRED],
            busy=found[Sendability.BUSY] + found[Sendability.DOUBT] + found[Sendability.CLOSED],
            opted_out=opted_out if everybody_known else None,
            would_send=found[Sendability.READY],
            likely_duplicates=duplicates,
        )

    def _ready(
        self, chunk: Iterable[Candidate], found: Counter[Sendability], handled: set[UUID]
    ) -> list[Candidate]:
        """Counts each; those that can be sent, once for each notification: its devices are sent to
        together."""
        now = self._clock.now()
        ready: list[Candidate] = []
        for candidate in chunk:
            standing = sendability(candidate, now=now)
            found[standing] += 1
            if standing is Sendability.READY and candidate.notification_id not in handled:
                ready.append(candidate)
                if candidate.notification_id is not None:
                    handled.add(candidate.notification_id)
        return ready

    async def _wishes(self, candidates: Sequence[Candidate]) -> RecipientAnswer | None:
        """None where nobody can be asked."""
        question = RecipientQuestion(
            ids=tuple({item.user_id for item in candidates if item.user_id and item.address is None}),
            addresses=tuple({address for item in candidates if (address := _address(item)) is not None}),
        )
        if not (question.ids or question.addresses):
            return RecipientAnswer()
        try:
            return await self._recipients.recipients(question)
        except PeerError:
            return None

    def _opted_out(self, candidate: Candidate, answer: RecipientAnswer) -> bool:
        person = _person(candidate, answer)
        if person is None or candidate.channel is None or candidate.category is None:
            return False
        decision = decide(
            person, channel=candidate.channel, category=candidate.category, now=self._clock.now()
        )
        return isinstance(decision, Suppress)


def _notifications(chunk: Iterable[Candidate]) -> list[UUID]:
    return [item.notification_id for item in chunk if item.notification_id is not None]


def _address(candidate: Candidate) -> Address | None:
    if candidate.address is None or candidate.channel is None:
        return None
    return Address(channel=candidate.channel, value=candidate.address)


def _person(candidate: Candidate, answer: RecipientAnswer) -> Recipient | None:
    address = _address(candidate)
    if address is not None:
        return answer.by_address.get(f"{address.channel.value}:{address.value}")
    return answer.by_id.get(str(candidate.user_id))


def said_to(candidate: Candidate) -> tuple[str, str, str]:
    """The same for the same message to the same recipient."""
    channel = "" if candidate.channel is None else candidate.channel.value
    return channel, str(candidate.address or candidate.user_id), candidate.words
