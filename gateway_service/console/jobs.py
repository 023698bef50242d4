"""Jobs that send many again, and the record of who did what."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from fastapi import APIRouter, Request, Response

from gateway_service.console.forms import from_address
from gateway_service.console.parts import failures_of, jobs_of
from gateway_service.console.paths import ROOT
from gateway_service.console.route import ConsoleRoute, renderer_of, see_other
from gateway_service.console.session import Reader, Session, Writer
from gateway_service.domain.access import Principal
from gateway_service.domain.reprocess_jobs import ReprocessJobs
from shared.contracts.http.base import PageQuery
from shared.contracts.http.failures import AuditQuery
from shared.contracts.http.reprocessing import ReprocessJob
from shared.web.problems import ApiProblem, not_found

router = APIRouter(route_class=ConsoleRoute)

PAGE_SIZE = 25
_ACTS: dict[str, Callable[[ReprocessJobs, UUID, Principal], Awaitable[ReprocessJob]]] = {
    "pause": lambda jobs, identifier, principal: jobs.pause(identifier, principal),
    "resume": lambda jobs, identifier, principal: jobs.resume(identifier, principal),
    "cancel": lambda jobs, identifier, principal: jobs.cancel(identifier, principal),
}


@router.get("/jobs")
async def list_jobs(request: Request, session: Reader) -> Response:
    """Newest first."""
    query = from_address(request, PageQuery, limit=PAGE_SIZE)
    if query.value is None:
        raise not_found("There is no such page of this list.")
    page = await jobs_of(request).page(query.value, session.principal)
    return renderer_of(request).page(request, "jobs.html", page=page)


@router.get("/jobs/{job_id}")
async def show_job(job_id: UUID, request: Request, session: Reader) -> Response:
    """How far it is."""
    return await _shown(job_id, request, session)


@router.post("/jobs/{job_id}/{act}")
async def change_job(job_id: UUID, act: str, request: Request, session: Writer) -> Response:
    """Pause, resume, cancel."""
    if act not in _ACTS:
        raise not_found("There is no page at this address.")
    try:
        await _ACTS[act](jobs_of(request), job_id, session.principal)
    except ApiProblem as problem:
        if problem.status == 404:
            raise
        return await _shown(job_id, request, session, problem=problem)
    return see_other(request, f"{ROOT}/jobs/{job_id}")


@router.get("/audit")
async def show_audit(request: Request, session: Reader) -> Response:
    """Newest first; of one failure or one job where the address says so."""
    query = from_address(request, AuditQuery, limit=PAGE_SIZE)
    if query.value is None:
        raise not_found("There is no such page of this list.")
    page = await failures_of(request).audit(query.value, session.principal)
    return renderer_of(request).page(request, "audit.html", page=page, asked=query.value)


async def _shown(
    job_id: UUID, request: Request, session: Session, *, problem: ApiProblem | None = None
) -> Response:
    job = await jobs_of(request).one(job_id, session.principal)
    return renderer_of(request).page(
        request, "job.html", status=200 if problem is None else problem.status, job=job, problem=problem
    )
