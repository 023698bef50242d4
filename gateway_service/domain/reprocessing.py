"""Mending what failed: one failure is sent again, with changes if need be, or discarded; many are discarded.

How many are sent again stands in reprocess_jobs.py.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from gateway_service.domain.acceptance import Templates, checked_template
from gateway_service.domain.access import Principal
from gateway_service.domain.counting import CLOSED_FAILURES
from gateway_service.domain.dry_run import DryRuns
from gateway_service.domain.failures import ABSENT, Failures, owner_of
from gateway_service.domain.recipients import RecipientSource
from gateway_service.domain.refusals import (
    Invalid,
    NotFound,
    NotNow,
    NotReprocessable,
    OthersFailedToo,
    invalid,
)
from gateway_service.domain.sendability import refusal_of, refusal_to_discard, sendability
from gateway_service.storage.failure_reads import count_failures
from gateway_service.storage.failure_selection import FailureSelection, by_id
from gateway_service.storage.operator_acts import Act, note_acts
from gateway_service.storage.reprocessing import (
    Candidate,
    Wording,
    close_as_discarded,
    lock_candidates,
    open_failures,
    read_candidates,
    read_wording,
    release,
    reword,
)
from shared.clients.peer import PeerError
from shared.contracts.channels import Channel
from shared.contracts.http.failures import FailureDetail, OperatorAct
from shared.contracts.http.reprocessing import (
    BulkDiscarded,
    BulkDiscardRequest,
    BulkReprocessRequest,
    DryRun,
    FailureChanges,
)
from shared.database.engine import Connection, Database
from shared.process.clock import Clock
from shared.web.problems import FieldError

log = structlog.get_logger()

CHUNK = 500
"""Failures discarded in one transaction."""
MOST_COUNTED = 10_000


class Reprocessing:
    """Whoever comes here has the scope failed:write."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        failures: Failures,
        templates: Templates,
        recipients: RecipientSource,
    ) -> None:
        self._database = database
        self._clock = clock
        self._failures = failures
        self._templates = templates
        self._recipients = recipients
        self._dry_runs = DryRuns(database, clock, recipients)

    async def one(
        self, identifier: UUID, changes: FailureChanges | None, principal: Principal
    ) -> FailureDetail:
        """Open its next run; of two who do so at once, one does. As it stands afterwards.

        Raises NotFound, a refusal that says what holds it back, Invalid where the changes do not fit, NotNow
        where that cannot be known, DatabaseUnavailable."""
        changed = changes.names if changes is not None else ()
        before = await self._read(identifier, principal)
        words = await self._words(before, changes) if changes is not None and changed else None
        async with self._database.transaction() as connection:
            now = self._clock.now()
            candidate, notification_id = await _locked_and_sendable(connection, identifier, now=now)
            readdressed = changes is not None and changes.to is not None
            if readdressed:
                await _require_no_others(connection, notification_id)
            if words is not None:
                await reword(connection, notification_id, words)
            closed = await release(
                connection,
                [notification_id],
                by=principal.name,
                at=now,
                job_id=None,
                to_a_new_address=readdressed,
            )
            act = _act(candidate, OperatorAct.REPROCESSED, principal, at=now)
            detail = f"Changed: {', '.join(changed)}" if changed else None
            await note_acts(connection, [replace(act, failure_id=one, detail=detail) for one in closed])
        CLOSED_FAILURES.labels("reprocessed").inc(len(closed))
        log.info(
            "failure.reprocessed",
            failure_id=str(identifier),
            notification_id=str(notification_id),
            changed=list(changed),
            by=principal.name,
        )
        return await self._failures.one(identifier, principal)

    async def discard(self, identifier: UUID, reason: str, principal: Principal) -> FailureDetail:
        """It is never sent. Raises NotFound, NotOpen, StillInProgress, DatabaseUnavailable."""
        await self._read(identifier, principal)
        async with self._database.transaction() as connection:
            found = await lock_candidates(connection, [identifier])
            if not found:
                raise NotFound(ABSENT)
            refusal = refusal_to_discard(found[0])
            if refusal is not None:
                raise refusal
            now = self._clock.now()
            await close_as_discarded(connection, [identifier], by=principal.name, at=now)
            act = _act(found[0], OperatorAct.DISCARDED, principal, at=now)
            await note_acts(connection, [replace(act, detail=reason)])
        CLOSED_FAILURES.labels("discarded").inc()
        log.info("failure.discarded", failure_id=str(identifier), by=principal.name)
        return await self._failures.one(identifier, principal)

    async def discard_many(self, request: BulkDiscardRequest, principal: Principal) -> BulkDiscarded:
        """In transactions of `CHUNK`, the oldest first; what is in work is passed over, what was discarded
        before an error stays so. Raises DatabaseUnavailable."""
        selection = FailureSelection(filter=request.filter, owner=owner_of(principal)).condition
        discarded, after = 0, UUID(int=0)
        while discarded < request.limit:
            size = min(CHUNK, request.limit - discarded)
            async with self._database.transaction() as connection:
                found = await read_candidates(connection, selection.and_("f.id > {}", after), limit=size)
                if not found:
                    break
                after = found[-1].id
                locked = await lock_candidates(connection, [candidate.id for candidate in found])
                open_ones = [candidate for candidate in locked if refusal_to_discard(candidate) is None]
                ids = [candidate.id for candidate in open_ones]
                now = self._clock.now()
                await close_as_discarded(connection, ids, by=principal.name, at=now)
                acts = [_act(one, OperatorAct.DISCARDED, principal, at=now) for one in open_ones]
                await note_acts(connection, [replace(act, detail=request.reason) for act in acts])
            discarded += len(ids)
            CLOSED_FAILURES.labels("discarded").inc(len(ids))
            log.info("failures.discarded", count=len(ids), by=principal.name)
        async with self._database.connection() as connection:
            remaining = await count_failures(connection, selection, most=MOST_COUNTED)
        return BulkDiscarded(discarded=discarded, remaining=remaining)

    async def dry_run(self, request: BulkReprocessRequest, principal: Principal) -> DryRun:
        """What a job would do. Raises DatabaseUnavailable."""
        return await self._dry_runs.of(request, owner=owner_of(principal))

    async def _read(self, identifier: UUID, principal: Principal) -> Candidate:
        condition, owner = by_id([identifier]), owner_of(principal)
        async with self._database.connection() as connection:
            found = await read_candidates(
                connection, condition if owner is None else condition.and_("f.owner = {}", owner), limit=1
            )
        if not found:
            raise NotFound(ABSENT)
        return found[0]

    async def _words(self, candidate: Candidate, changes: FailureChanges) -> Wording:
        """What it is to say from now on, and to where."""
        async with self._database.connection() as connection:
            present = (
                None
                if candidate.notification_id is None
                else await read_wording(connection, candidate.notification_id)
            )
        if present is None or candidate.channel is None:
            raise NotReprocessable("Nobody could read this message, or its notification is gone.")
        address = present.address
        if changes.to is not None:
            address = changes.to.of(candidate.channel)
            if address is None:
                raise invalid("changes.to", f"Give exactly one address, named {candidate.channel.value}")
        changed = replace(present, address=address)
        if changes.template_code is None and changes.variables is None:
            return changed
        code = changes.template_code or present.template_code
        if code is None:
            raise invalid("changes.variables", "It has no template, so variables say nothing")
        variables = present.variables if changes.variables is None else changes.variables
        await self._check_template(code, candidate.channel, candidate.language, variables)
        return replace(changed, template_code=code, variables=variables, content=None)

    async def _check_template(
        self, code: str, channel: Channel, language: str | None, variables: dict[str, Any]
    ) -> None:
        # No session is held while the template service is asked.
        try:
            template = await self._templates.released(code, language)
        except PeerError as error:
            raise NotNow("The template cannot be looked up at the moment; ask again") from error
        try:
            checked_template(template, code=code, channel=channel, variables=variables)
        except Invalid as refused:
            errors = [FieldError(f"changes.{error.field}", error.message) for error in refused.errors]
            raise Invalid(refused.detail, errors=errors) from refused


async def _locked_and_sendable(
    connection: Connection, identifier: UUID, *, now: datetime
) -> tuple[Candidate, UUID]:
    """With its notification. Raises what holds it back."""
    found = await lock_candidates(connection, [identifier])
    if not found:
        raise NotFound(ABSENT)
    refusal = refusal_of(sendability(found[0], now=now))
    if refusal is not None:
        raise refusal
    if found[0].notification_id is None:
        raise NotFound(ABSENT)
    return found[0], found[0].notification_id


async def _require_no_others(connection: Connection, notification_id: UUID) -> None:
    if await open_failures(connection, notification_id) > 1:
        raise OthersFailedToo(
            "A new address would take their place: send it again without `to`, or discard the others first."
        )


def _act(candidate: Candidate, act: OperatorAct, principal: Principal, *, at: datetime) -> Act:
    return Act(
        at=at,
        by=principal.name,
        act=act,
        owner=candidate.owner,
        failure_id=candidate.id,
        notification_id=candidate.notification_id,
    )
