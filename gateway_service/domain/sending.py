"""From a request to an answer: the checks, then the commit; and what was answered before, answered again."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from gateway_service.domain.acceptance import Acceptance, Recipients
from gateway_service.domain.access import Principal
from gateway_service.domain.backlog import Backlog
from gateway_service.domain.batches import Batch, BatchAnswer, BatchEntry, Batches
from gateway_service.domain.counting import REFUSED
from gateway_service.domain.idempotency import claim_for
from gateway_service.domain.recipients import RecipientSource, foresee
from gateway_service.domain.refusals import BacklogFull, NotAllowed, Refused
from gateway_service.domain.submission import Answer, Submissions
from gateway_service.storage.acceptance import KeyClaim
from gateway_service.storage.notifications import Notification
from shared.contracts.http.notifications import NotificationRequest
from shared.process.identifiers import uuid7

_BREATHE_EVERY = 50
"""Entries of a batch that are checked before other requests get their turn."""


class Sending:
    """What the sending routes call."""

    def __init__(
        self,
        *,
        acceptance: Acceptance,
        submissions: Submissions,
        batches: Batches,
        recipients: Recipients,
        users: RecipientSource,
        backlog: Backlog,
    ) -> None:
        self._acceptance = acceptance
        self._submissions = submissions
        self._batches = batches
        self._recipients = recipients
        self._users = users
        self._backlog = backlog

    async def one(self, request: NotificationRequest, principal: Principal, *, key: str | None) -> Answer:
        """Stored when this returns. Raises Refused."""
        claim = claim_for(key, request)
        try:
            try:
                # First, since it costs nothing: many may ask again and again meanwhile.
                backlog_full = self._backlog.refusal(request, in_batch=False)
                if backlog_full is not None:
                    raise backlog_full
                notification = await self._acceptance.check(request, principal, recipients=self._recipients)
            except NotAllowed:
                raise
            except Refused:
                answer = await self._answered_before(principal.owner, claim)
                if answer is None:
                    raise
                return answer
            return await self._submissions.submit(notification, claim)
        except Refused as refused:
            REFUSED.labels(refused.kind).inc()
            raise

    async def many(
        self,
        entries: Sequence[NotificationRequest | Refused],
        principal: Principal,
        *,
        claim: KeyClaim | None,
    ) -> BatchAnswer:
        """Stored when this returns, except what the answer names as refused. Raises Refused for the whole."""
        if claim is not None:
            answer = await self._batches.replay(principal.owner, claim)
            if answer is not None:
                return answer
        batch_id = uuid7()
        # Once for all: only who is looked up here is found in the checks.
        taken = [self._unless_full(entry) for entry in entries]
        recipients = await foresee(
            [entry for entry in taken if isinstance(entry, NotificationRequest)], self._users
        )
        checked: list[BatchEntry] = []
        for number, (asked, entry) in enumerate(zip(entries, taken, strict=True)):
            if number % _BREATHE_EVERY == 0:
                await asyncio.sleep(0)
            outcome = await self._check_entry(entry, principal, recipients, batch_id)
            key = None if isinstance(asked, Refused) else claim_for(asked.idempotency_key, asked)
            checked.append(BatchEntry(outcome=outcome, claim=key))
        checked = await self._with_answers_of_before(checked, principal.owner)
        refusals = [entry.outcome for entry in checked if isinstance(entry.outcome, Refused)]
        for refused in refusals:
            REFUSED.labels(refused.kind).inc()
        if len(refusals) == len(checked) and all(isinstance(one, BacklogFull) for one in refusals):
            raise refusals[0]
        return await self._batches.submit(
            Batch(batch_id=batch_id, owner=principal.owner, claim=claim, entries=checked)
        )

    def _unless_full(self, entry: NotificationRequest | Refused) -> NotificationRequest | Refused:
        if isinstance(entry, Refused):
            return entry
        return self._backlog.refusal(entry, in_batch=True) or entry

    async def _check_entry(
        self,
        entry: NotificationRequest | Refused,
        principal: Principal,
        recipients: Recipients,
        batch_id: UUID,
    ) -> Notification | Refused:
        if isinstance(entry, Refused):
            return entry
        try:
            return await self._acceptance.check(entry, principal, recipients=recipients, batch_id=batch_id)
        except Refused as refused:
            return refused

    async def _with_answers_of_before(self, entries: list[BatchEntry], owner: UUID) -> list[BatchEntry]:
        """As for a single one, for all that were refused at once."""
        refused = [
            entry.claim
            for entry in entries
            if entry.claim is not None
            and isinstance(entry.outcome, Refused)
            and not isinstance(entry.outcome, NotAllowed)
        ]
        if not refused:
            return entries
        answers = await self._batches.answered_before(owner, refused)
        return [
            replace(entry, outcome=answers[entry.claim])
            if entry.claim is not None and entry.claim in answers and isinstance(entry.outcome, Refused)
            else entry
            for entry in entries
        ]

    async def _answered_before(self, owner: UUID, claim: KeyClaim | None) -> Answer | None:
        """What passed the checks once is answered again, whatever they would say today."""
        return None if claim is None else await self._submissions.replay(owner, claim)
