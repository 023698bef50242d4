"""From a request to an answer: the checks, then the commit; and what was answered before, answered again."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from gateway_service.domain.acceptance import Acceptance, Recipients
from gateway_service.domain.access import Principal
from gateway_service.domain.batches import Batch, BatchAnswer, BatchEntry, Batches
from gateway_service.domain.counting import REFUSED
from gateway_service.domain.idempotency import claim_for
from gateway_service.domain.recipients import RecipientSource, foresee
from gateway_service.domain.refusals import NotAllowed, Refused
from gateway_service.domain.submission import Answer, Submissions
from gateway_service.storage.acceptance import KeyClaim
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
    ) -> None:
        self._acceptance = acceptance
        self._submissions = submissions
        self._batches = batches
        self._recipients = recipients
        self._users = users

    async def one(self, request: NotificationRequest, principal: Principal, *, key: str | None) -> Answer:
        """Stored when this returns. Raises Refused."""
        claim = claim_for(key, request)
        try:
            try:
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
        requests = [entry for entry in entries if isinstance(entry, NotificationRequest)]
        recipients = await foresee(requests, self._users)
        checked: list[BatchEntry] = []
        for number, entry in enumerate(entries):
            if number % _BREATHE_EVERY == 0:
                await asyncio.sleep(0)
            checked.append(await self._check_entry(entry, principal, recipients, batch_id))
        return await self._batches.submit(
            Batch(batch_id=batch_id, owner=principal.owner, claim=claim, entries=checked)
        )

    async def _check_entry(
        self,
        entry: NotificationRequest | Refused,
        principal: Principal,
        recipients: Recipients,
        batch_id: UUID,
    ) -> BatchEntry:
        if isinstance(entry, Refused):
            REFUSED.labels(entry.kind).inc()
            return BatchEntry(outcome=entry, claim=None)
        claim = claim_for(entry.idempotency_key, entry)
        try:
            notification = await self._acceptance.check(
                entry, principal, recipients=recipients, batch_id=batch_id
            )
        except Refused as refused:
            REFUSED.labels(refused.kind).inc()
            return BatchEntry(outcome=refused, claim=claim)
        return BatchEntry(outcome=notification, claim=claim)

    async def _answered_before(self, owner: UUID, claim: KeyClaim | None) -> Answer | None:
        """What passed the checks once is answered again, whatever they would say today."""
        return None if claim is None else await self._submissions.replay(owner, claim)
