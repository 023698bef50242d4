"""Looking for notifications, one with all that happened to it, and settling a doubt."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from gateway_service.console.forms import filled, form_of, from_address
from gateway_service.console.parts import failures_of, notifications_of, resolving_of
from gateway_service.console.paths import ROOT
from gateway_service.console.route import ConsoleRoute, renderer_of, see_other
from gateway_service.console.session import Reader, Writer
from shared.contracts.channels import Channel
from shared.contracts.http.failures import FailureQuery, FailureStatus
from shared.contracts.http.notification_answers import NotificationQuery, NotificationStatus
from shared.contracts.http.resolutions import ResolveRequest
from shared.web.problems import ApiProblem

router = APIRouter(route_class=ConsoleRoute)

PAGE_SIZE = 25


@router.get("/notifications")
async def search(request: Request, session: Reader) -> Response:
    """By filters; the id of one leads straight to it."""
    wanted = request.query_params.get("id", "").strip()
    id_error = None
    if wanted:
        try:
            return see_other(request, f"{ROOT}/notifications/{UUID(wanted)}")
        except ValueError:
            id_error = "This is not an id, such as 0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d."
    query = from_address(request, NotificationQuery, limit=PAGE_SIZE)
    errors = {**query.errors, **({"id": id_error} if id_error else {})}
    page = None
    if query.value is not None and not errors:
        page = await notifications_of(request).page(query.value, session.principal)
    return renderer_of(request).page(
        request,
        "notifications.html",
        status=422 if errors else 200,
        given=query.given,
        errors=errors,
        page=page,
        statuses=list(NotificationStatus),
        channels=list(Channel),
    )


@router.get("/notifications/{notification_id}")
async def show(notification_id: UUID, request: Request, session: Reader) -> Response:
    """Its timeline, its attempts, and what of it failed."""
    return await _shown(notification_id, request, session)


@router.post("/notifications/{notification_id}/resolve")
async def resolve(notification_id: UUID, request: Request, session: Writer) -> Response:
    """Of an unknown one: it was sent, or it is to be sent once more."""
    asked = filled(ResolveRequest, await form_of(request))
    if asked.value is None:
        problem = ApiProblem(status=422, detail="Choose whether it was sent, or is to be sent once more.")
        return await _shown(notification_id, request, session, problem=problem)
    try:
        await resolving_of(request).one(notification_id, asked.value.outcome, session.principal)
    except ApiProblem as problem:
        if problem.status == 404:
            raise
        return await _shown(notification_id, request, session, problem=problem)
    return see_other(request, f"{ROOT}/notifications/{notification_id}?done=resolved")


async def _shown(
    notification_id: UUID, request: Request, session: Reader, *, problem: ApiProblem | None = None
) -> Response:
    found = await notifications_of(request).one(notification_id, session.principal)
    parked = [
        failure
        for status in FailureStatus
        for failure in (
            await failures_of(request).page(
                FailureQuery(notification_id=notification_id, status=status), session.principal
            )
        ).items
    ]
    settled = any(session.principal.name in (entry.detail or "") for entry in found.timeline)
    return renderer_of(request).page(
        request,
        "notification.html",
        status=200 if problem is None else problem.status,
        notification=found,
        parked=sorted(parked, key=lambda failure: failure.id),
        problem=problem,
        done=settled and request.query_params.get("done") == "resolved",
    )
