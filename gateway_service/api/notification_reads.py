"""Notifications as they stand: one, a list; and taking back what waits for its time."""

from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from gateway_service.api.access import CurrentPrincipal
from gateway_service.domain.reading import Reading
from shared.contracts.http.base import Page
from shared.contracts.http.notification_answers import NotificationDetail, NotificationItem, NotificationQuery
from shared.web.openapi import problem_responses

router = APIRouter(prefix="/notifications", tags=["notifications"])


async def _reading(request: Request) -> Reading:
    return cast(Reading, request.app.state.reading)


CurrentReading = Annotated[Reading, Depends(_reading)]


@router.get("", summary="List notifications", responses=problem_responses(401, 403, 422, 503))
async def list_notifications(
    query: Annotated[NotificationQuery, Query()], principal: CurrentPrincipal, reading: CurrentReading
) -> Page[NotificationItem]:
    """Newest first. An API key sees what its owner sent, an operator everything, anybody else what they
    sent and what is addressed to them."""
    return await reading.page(query, principal)


@router.get(
    "/{notification_id}",
    summary="Get a notification",
    responses=problem_responses(401, 403, 404, 422, 503),
)
async def get_notification(
    notification_id: UUID, principal: CurrentPrincipal, reading: CurrentReading
) -> NotificationDetail:
    """With every attempt and its timeline. 404 also where it is somebody else's."""
    return await reading.one(notification_id, principal)


@router.post(
    "/{notification_id}/cancel",
    summary="Cancel a scheduled or deferred notification",
    responses=problem_responses(401, 403, 404, 409, 422, 503),
)
async def cancel_notification(
    notification_id: UUID, principal: CurrentPrincipal, reading: CurrentReading
) -> NotificationDetail:
    """409 once its release has begun."""
    return await reading.cancel(notification_id, principal)
