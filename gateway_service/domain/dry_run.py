"""What a job would do, by what is known now; nothing is changed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from gateway_service.domain.recipients import RecipientSource
from gateway_service.domain.sendability import Sendability, sendability
from gateway_service.storage.failure_reads import count_failures
from gateway_service.storage.failure_selection import FailureSelection
from gateway_service.storage.likely_duplicates import said_already
from gateway_service.storage.partitions import created_at
from gateway_service.storage.reprocessing import Candidate, read_candidates
from shared.clients.peer import PeerError
from shared.contracts.http.reprocessing import EXAMINED_AT_MOST, BulkReprocessRequest, DryRun
from shared.contracts.recipients import Address, Recipient, RecipientAnswer, RecipientQuestion
from shared.database.engine import Database
from shared.delivery.consent import Suppress, decide
from shared.process.clock import Clock

SAME_WITHIN = timedelta(hours=1)
"""As in storage/likely_duplicates.py: a sender that asks twice does so within minutes."""
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
        said_here = SaidHere()
        while examined < min(wanted, EXAMINED_AT_MOST):
            size = min(CHUNK, wanted - examined, EXAMINED_AT_MOST - examined)
            async with self._database.connection() as connection:
                chunk = await read_candidates(connection, condition.and_("f.id > {}", after), limit=size)
                if not chunk:
                    break
                said = await said_already(connection, notifications_of(chunk))
            after = chunk[-1].id
            examined += len(chunk)
            ready = self._ready(chunk, found)
            wishes = await self._wishes(ready)
            everybody_known = everybody_known and wishes is not None
            for candidate in ready:
                if wishes is not None and self._opted_out(candidate, wishes):
                    found[Sendability.READY] -= 1
                    opted_out += 1
                    continue
                repeats = said_here.repeats(candidate)
                duplicates += repeats or candidate.notification_id in said
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

    def _ready(self, chunk: Iterable[Candidate], found: Counter[Sendability]) -> list[Candidate]:
        """Counts each; those that can be sent."""
        now = self._clock.now()
        ready: list[Candidate] = []
        for candidate in chunk:
            standing = sendability(candidate, now=now)
            found[standing] += 1
            if standing is Sendability.READY:
                ready.append(candidate)
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


def notifications_of(candidates: Iterable[Candidate]) -> list[UUID]:
    """Theirs; what could not be read has none."""
    return [item.notification_id for item in candidates if item.notification_id is not None]


def _address(candidate: Candidate) -> Address | None:
    if candidate.address is None or candidate.channel is None:
        return None
    return Address(channel=candidate.channel, value=candidate.address)


def _person(candidate: Candidate, answer: RecipientAnswer) -> Recipient | None:
    address = _address(candidate)
    if address is not None:
        return answer.by_address.get(f"{address.channel.value}:{address.value}")
    return answer.by_id.get(str(candidate.user_id))


class SaidHere:
    """What others of the failures say that are looked at, to the same recipient, an hour before or later; the
    devices of one notification are no repetition of each other."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str, str], UUID] = {}

    def repeats(self, candidate: Candidate) -> bool:
        """Whether it does; it counts as said from now on."""
        if candidate.notification_id is None:
            return False
        channel = "" if candidate.channel is None else candidate.channel.value
        key = (channel, str(candidate.address or candidate.user_id), candidate.words)
        latest = self._latest.get(key)
        self._latest[key] = max(latest or candidate.notification_id, candidate.notification_id)
        if latest is None or latest == candidate.notification_id:
            return False
        return created_at(latest) > created_at(candidate.notification_id) - SAME_WITHIN
