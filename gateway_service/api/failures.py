"""What failed: found, understood, sent again one by one, discarded."""

from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from gateway_service.api.access import require
from gateway_service.domain.access import Principal
from gateway_service.domain.failures import Failures
from gateway_service.domain.reprocessing import Reprocessing
from shared.contracts.http.auth import Scope
from shared.contracts.http.base import Page
from shared.contracts.http.failures import (
    AuditEntry,
    AuditQuery,
    FailureDetail,
    FailureFilter,
    FailureItem,
    FailureQuery,
    FailureSummary,
)
from shared.contracts.http.reprocessing import (
    BulkDiscarded,
    BulkDiscardRequest,
    DiscardRequest,
    ReprocessRequest,
)
from shared.web.openapi import problem_responses

router = APIRouter(prefix="/failed", tags=["failed queue"])


async def _failures(request: Request) -> Failures:
    return cast(Failures, request.app.state.failures)


async def reprocessing_of(request: Request) -> Reprocessing:
    """The app's own."""
    return cast(Reprocessing, request.app.state.reprocessing)


CurrentFailures = Annotated[Failures, Depends(_failures)]
CurrentReprocessing = Annotated[Reprocessing, Depends(reprocessing_of)]
Reader = Annotated[Principal, Depends(require(Scope.FAILED_READ))]
Writer = Annotated[Principal, Depends(require(Scope.FAILED_WRITE))]


@router.get("", summary="List failures", responses=problem_responses(401, 403, 422, 503))
async def list_failures(
    query: Annotated[FailureQuery, Query()], principal: Reader, failures: CurrentFailures
) -> Page[FailureItem]:
    """Newest first; by default what is `open`. Each is an address or device to which a run of a notification
    could not be delivered, or a message that nobody could read. An account sees everything, an API key what
    its owner sent. RabbitMQ's own pages show failed.queue empty, since the gateway takes everything out: here
    it is."""
    return await failures.page(query, principal)


@router.get("/summary", summary="Failures by cause", responses=problem_responses(401, 403, 422, 503))
async def summarize_failures(
    wanted: Annotated[FailureFilter, Query()], principal: Reader, failures: CurrentFailures
) -> FailureSummary:
    """What is open, grouped by channel, provider, kind of error and template, the most frequent first.
    `cause` names the group in the filters of the other routes."""
    return await failures.summary(wanted, principal)


@router.get("/audit", summary="Who did what", responses=problem_responses(401, 403, 422, 503))
async def list_acts(
    query: Annotated[AuditQuery, Query()], principal: Reader, failures: CurrentFailures
) -> Page[AuditEntry]:
    """Every reprocess and discard, and what was done with jobs, newest first. What a job has sent again is in
    `GET /failed?status=reprocessed&job_id=…`."""
    return await failures.audit(query, principal)


@router.post(
    "/discard",
    summary="Discard all failures that a filter finds",
    responses=problem_responses(401, 403, 422, 503),
)
async def discard_failures(
    body: BulkDiscardRequest, principal: Writer, reprocessing: CurrentReprocessing
) -> BulkDiscarded:
    """As `POST /failed/{id}/discard` for each of them, the oldest first, at most `limit`. What still has
    another device in work is passed over. After a 503 what was discarded before it stays so, and the same
    call goes on with the rest."""
    return await reprocessing.discard_many(body, principal)


@router.get("/{failure_id}", summary="Get a failure", responses=problem_responses(401, 403, 404, 422, 503))
async def get_failure(failure_id: UUID, principal: Reader, failures: CurrentFailures) -> FailureDetail:
    """The whole message, every attempt, the full error, and what operators did about it. Without the scope
    `users:read` personal data are masked: of an address the domain is shown, of variables the names, of a
    stack trace the places."""
    return await failures.one(failure_id, principal)


@router.post(
    "/{failure_id}/reprocess",
    summary="Send a failure again",
    responses=problem_responses(401, 403, 404, 409, 422, 503),
)
async def reprocess_failure(
    failure_id: UUID,
    principal: Writer,
    reprocessing: CurrentReprocessing,
    body: ReprocessRequest | None = None,
) -> FailureDetail:
    """In a new run of its notification, with the template that is published now, and with `changes` where
    they are given. Addresses and devices that an earlier run has reached, or may have, are left out, and so
    are those whose failure was discarded; other failures of the same notification are sent again with it. A
    new address (`to`) takes the place of all. Of two who ask at once, one has an effect.

    409: `not_open`, it is reprocessed or discarded; `still_in_progress`, another device is in work;
    `doubt_first`, the notification is `unknown`, which has to be resolved; `others_failed_too`, a new address
    would replace other devices that failed; `notification_expired`; `not_reprocessable`, nobody can read it,
    or its notification is gone. 422: the changes do not fit."""
    return await reprocessing.one(failure_id, None if body is None else body.changes, principal)


@router.post(
    "/{failure_id}/discard",
    summary="Discard a failure",
    responses=problem_responses(401, 403, 404, 409, 422, 503),
)
async def discard_failure(
    failure_id: UUID, body: DiscardRequest, principal: Writer, reprocessing: CurrentReprocessing
) -> FailureDetail:
    """It is never sent; the reason is kept. Its notification becomes `discarded` unless another device took
    it. 409 `not_open` or `still_in_progress`."""
    return await reprocessing.discard(failure_id, body.reason, principal)
