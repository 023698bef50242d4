"""The first page, and what keeps it and the pages of jobs up to date."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from gateway_service.console.guard import is_head
from gateway_service.console.live import EventStream, Make, TooManyWatch
from gateway_service.console.minutes import table_of
from gateway_service.console.parts import jobs_of
from gateway_service.console.paths import page_of
from gateway_service.console.route import ConsoleRoute, renderer_of, see_other
from gateway_service.console.session import Reader
from gateway_service.console.watcher import WATCHER
from shared.database.errors import DatabaseError
from shared.web.problems import ApiProblem, not_found, rate_limited

if TYPE_CHECKING:
    from gateway_service.console.console import Console

router = APIRouter(route_class=ConsoleRoute)
rest = APIRouter(route_class=ConsoleRoute)
"""Every address that is no page."""

_TOPIC = "overview"


@router.get("")
@router.get("/")
async def show_overview(request: Request, _session: Reader) -> Response:
    """How everything stands, as those see it who watch already, if somebody does."""
    shown = _console(request).live.latest(_TOPIC) or await _overview(request)()
    return renderer_of(request).page(request, "overview.html", shown=shown)


@router.get("/live")
async def watch(request: Request, session: Reader, job: Annotated[UUID | None, Query()] = None) -> Response:
    """The overview, or a job, as a stream of server-sent events; until the session ends. HEAD says whether
    there is a session: a browser tells a page no more than that its stream was refused."""
    if is_head(request.scope):
        return Response(media_type="text/event-stream")
    topic, make = (_TOPIC, _overview(request)) if job is None else (f"job {job}", _job(request, job))
    left_s = (session.expires_at - datetime.now(UTC)).total_seconds()
    try:
        stream = _console(request).live.open(topic, make, who=session.principal.owner, for_s=left_s)
    except TooManyWatch as error:
        raise rate_limited(
            "As many pages are watched already as may be. Load the page anew.", retry_after_s=30
        ) from error
    return EventStream(stream)


@rest.get("/{rest:path}")
async def show_nothing(request: Request, _session: Reader) -> Response:
    """A page that says so; from the address of a form to the page that it is on."""
    page = page_of(request.url.path)
    if page != request.url.path:
        return see_other(request, page)
    raise not_found("There is no page at this address.")


def _overview(request: Request) -> Make:
    console, renderer = _console(request), renderer_of(request)

    async def make() -> str:
        state = await console.overview.state()
        minutes = None if state.minutes.value is None else table_of(state.minutes.value)
        return renderer.fragment("overview_state.html", state=state, minutes=minutes)

    return make


def _job(request: Request, identifier: UUID) -> Make:
    jobs, renderer = jobs_of(request), renderer_of(request)

    async def make() -> str:
        try:
            job = await jobs.one(identifier, WATCHER)
        except (ApiProblem, DatabaseError):
            return renderer.fragment("job_state.html", job=None)
        return renderer.fragment("job_state.html", job=job)

    return make


def _console(request: Request) -> "Console":
    return cast("Console", request.app.state.console)
