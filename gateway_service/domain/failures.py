"""What failed, as operators see it."""

from uuid import UUID

from gateway_service.domain.access import Principal
from gateway_service.domain.failure_masking import message_of, raw_of, stack_of
from gateway_service.domain.refusals import NotFound
from gateway_service.storage.failure_reads import find_failure, list_failures, summarize
from gateway_service.storage.failure_selection import FailureSelection
from gateway_service.storage.operator_acts import list_acts
from gateway_service.storage.reading import list_attempts
from shared.contracts.http.auth import Scope
from shared.contracts.http.base import Page, page_of
from shared.contracts.http.failures import (
    AuditEntry,
    AuditQuery,
    FailureDetail,
    FailureFilter,
    FailureItem,
    FailureQuery,
    FailureSummary,
)
from shared.contracts.http.notification_answers import AttemptItem
from shared.database.engine import Database

ABSENT = "There is no such failure."
MOST_ACTS_SHOWN = 50


def owner_of(principal: Principal) -> UUID | None:
    """Whose failures a caller sees: an account everybody's (None), an API key its owner's."""
    return principal.owner if principal.user_id is None else None


class Failures:
    """Whoever comes here has the scope failed:read; personal data are for those who have users:read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, query: FailureQuery, principal: Principal) -> Page[FailureItem]:
        """Newest first. Raises DatabaseUnavailable."""
        selection = FailureSelection(
            filter=query, owner=owner_of(principal), status=query.status, job_id=query.job_id
        )
        async with self._database.connection() as connection:
            found = await list_failures(connection, selection, before=query.before, limit=query.limit + 1)
        return page_of(Page[FailureItem], found, limit=query.limit)

    async def one(self, identifier: UUID, principal: Principal) -> FailureDetail:
        """Whole. Raises NotFound, DatabaseUnavailable."""
        owner = owner_of(principal)
        async with self._database.connection() as connection:
            found = await find_failure(connection, identifier, owner=owner)
            if found is None:
                raise NotFound(ABSENT)
            acts = await list_acts(
                connection, AuditQuery(failure_id=identifier, limit=MOST_ACTS_SHOWN), owner=owner
            )
            if found.item.job_id is not None:
                acts += await list_acts(
                    connection, AuditQuery(job_id=found.item.job_id, limit=MOST_ACTS_SHOWN), owner=owner
                )
        item = found.item
        attempts: tuple[AttemptItem, ...] = ()
        if item.notification_id is not None:
            async with self._database.session() as session:
                attempts = tuple(await list_attempts(session, item.notification_id))
        if not attempts and item.run is not None:
            # The notification's month may have been dropped.
            attempts = tuple(
                AttemptItem.of(attempt, run=item.run, target=item.target or "") for attempt in found.history
            )
        personal = principal.may(Scope.USERS_READ)
        return FailureDetail(
            **item.model_dump(),
            message=None if found.request is None else message_of(found.request, personal=personal),
            raw=None if found.raw is None else raw_of(found.raw, personal=personal),
            attempts=attempts,
            stack=stack_of(found.stack, personal=personal),
            notification_status=found.notification_status,
            audit=tuple(sorted(acts, key=lambda act: act.id, reverse=True)[:MOST_ACTS_SHOWN]),
        )

    async def summary(self, wanted: FailureFilter, principal: Principal) -> FailureSummary:
        """Of what is open. Raises DatabaseUnavailable."""
        selection = FailureSelection(filter=wanted, owner=owner_of(principal))
        async with self._database.connection() as connection:
            total, causes = await summarize(connection, selection)
        return FailureSummary(total=total, causes=causes)

    async def audit(self, query: AuditQuery, principal: Principal) -> Page[AuditEntry]:
        """Newest first. Raises DatabaseUnavailable."""
        async with self._database.connection() as connection:
            found = await list_acts(connection, query, owner=owner_of(principal))
        return page_of(Page[AuditEntry], found, limit=query.limit)
