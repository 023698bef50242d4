"""Many failures sent again, as a job."""

from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway_service.api.failures import CurrentReprocessing, Reader, Writer
from gateway_service.domain.reprocess_jobs import ReprocessJobs
from shared.contracts.http.base import Page, PageQuery
from shared.contracts.http.reprocessing import BulkReprocessRequest, DryRun, ReprocessJob
from shared.web.openapi import problem_responses

router = APIRouter(prefix="/failed", tags=["failed queue"])
_STATES = problem_responses(401, 403, 404, 409, 422, 503)


async def _jobs(request: Request) -> ReprocessJobs:
    return cast(ReprocessJobs, request.app.state.reprocess_jobs)


CurrentJobs = Annotated[ReprocessJobs, Depends(_jobs)]


@router.post(
    "/reprocess",
    status_code=202,
    summary="Send all failures again that a filter finds",
    response_model=ReprocessJob,
    responses={
        200: {"description": "With `dry_run`: what would be done.", "model": DryRun},
        202: {
            "description": "The job, which begins within a moment.",
            "headers": {"Location": {"description": "Where its progress is.", "schema": {"type": "string"}}},
        },
        **problem_responses(401, 403, 422, 503),
    },
)
async def reprocess_failures(
    body: BulkReprocessRequest, principal: Writer, reprocessing: CurrentReprocessing, jobs: CurrentJobs
) -> Response:
    """As `POST /failed/{id}/reprocess` for each of them, the oldest first, at most `per_second`, with what
    cannot be sent passed over. What fails after the job was started is not part of it.

    It begins with ten. Where half of them fail for the same cause again, the job stops by itself, and what
    is left stays as it is; otherwise the rest follows. It goes on after a crash of the gateway where it was,
    and two jobs at once send each failure once."""
    if body.dry_run:
        found = await reprocessing.dry_run(body, principal)
        return Response(found.model_dump_json(), media_type="application/json")
    job = await jobs.start(body, principal)
    return Response(
        job.model_dump_json(),
        status_code=202,
        media_type="application/json",
        headers={"Location": f"/api/v1/failed/jobs/{job.id}"},
    )


@router.get("/jobs", summary="List jobs", responses=problem_responses(401, 403, 422, 503))
async def list_jobs(
    query: Annotated[PageQuery, Query()], principal: Reader, jobs: CurrentJobs
) -> Page[ReprocessJob]:
    """Newest first, with their progress."""
    return await jobs.page(query, principal)


@router.get("/jobs/{job_id}", summary="Get a job", responses=problem_responses(401, 403, 404, 422, 503))
async def get_job(job_id: UUID, principal: Reader, jobs: CurrentJobs) -> ReprocessJob:
    """With its progress: what was released, and what has become of it."""
    return await jobs.one(job_id, principal)


@router.post("/jobs/{job_id}/pause", summary="Pause a job", responses=_STATES)
async def pause_job(job_id: UUID, principal: Writer, jobs: CurrentJobs) -> ReprocessJob:
    """What it has released goes on. 409 `job_is_over` where it is not running."""
    return await jobs.pause(job_id, principal)


@router.post("/jobs/{job_id}/resume", summary="Resume a job", responses=_STATES)
async def resume_job(job_id: UUID, principal: Writer, jobs: CurrentJobs) -> ReprocessJob:
    """One that is paused goes on. One that was stopped begins with a small batch anew, and takes with it what
    has failed again. 409 `job_is_over` where it is neither."""
    return await jobs.resume(job_id, principal)


@router.post("/jobs/{job_id}/cancel", summary="Cancel a job", responses=_STATES)
async def cancel_job(job_id: UUID, principal: Writer, jobs: CurrentJobs) -> ReprocessJob:
    """It releases nothing more; what it has released goes on. 409 `job_is_over` where it has ended."""
    return await jobs.cancel(job_id, principal)
