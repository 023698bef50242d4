"""Settling what may or may not have gone out: one notification, or all that a filter finds."""

from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from gateway_service.api.access import require
from gateway_service.domain.access import Principal
from gateway_service.domain.resolving import Resolving
from shared.contracts.http.auth import Scope
from shared.contracts.http.notification_answers import NotificationDetail
from shared.contracts.http.resolutions import BulkResolved, BulkResolveRequest, ResolveRequest
from shared.web.openapi import problem_responses

router = APIRouter(prefix="/notifications", tags=["notifications"])


async def _resolving(request: Request) -> Resolving:
    return cast(Resolving, request.app.state.resolving)


CurrentResolving = Annotated[Resolving, Depends(_resolving)]
Operator = Annotated[Principal, Depends(require(Scope.FAILED_WRITE))]


@router.post(
    "/resolve",
    summary="Settle all unknown notifications that a filter finds",
    responses=problem_responses(401, 403, 422, 503),
)
async def resolve_notifications(
    body: BulkResolveRequest, principal: Operator, resolving: CurrentResolving
) -> BulkResolved:
    """As `POST /notifications/{id}/resolve` for each of them, the oldest first, at most `limit`. The filter
    has the fields of `GET /notifications`, but for `status`; at least one has to be given. An API key
    settles what its owner sent. What is not `unknown` any more is passed over, so the call can be repeated
    until `remaining` is 0, and after a 503, too: what was settled before it stays settled."""
    return await resolving.many(body, principal)


@router.post(
    "/{notification_id}/resolve",
    summary="Settle an unknown notification",
    responses=problem_responses(401, 403, 404, 409, 422, 503),
)
async def resolve_notification(
    notification_id: UUID, body: ResolveRequest, principal: Operator, resolving: CurrentResolving
) -> NotificationDetail:
    """`sent`: somebody knows that it went out. `resend`: it is sent once more, and marked
    `possible_duplicate`. Needs the scope `failed:write`; who decided what stands in the timeline.

    409 `not_unknown` where it is in another status, and for the second of two who settle it at once. 409
    `notification_expired` where it is to be sent again after its `expires_at`: that run would end as
    `expired`, as if nothing had been sent. 404 also where it is somebody else's."""
    return await resolving.one(notification_id, body.outcome, principal)
