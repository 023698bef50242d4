"""What failed, by cause; and what is done about a whole cause."""

from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from gateway_service.console.forms import Filled, filled, form_of, from_address
from gateway_service.console.parts import failures_of, jobs_of, reprocessing_of
from gateway_service.console.paths import ROOT
from gateway_service.console.route import ConsoleRoute, renderer_of, see_other
from gateway_service.console.session import Reader, Session, Writer
from shared.contracts.channels import Channel
from shared.contracts.http.base import Page
from shared.contracts.http.failures import (
    Cause,
    CauseSummary,
    FailureFilter,
    FailureItem,
    FailureQuery,
    FailureStatus,
)
from shared.contracts.http.reprocessing import (
    USUAL_PER_SECOND,
    BulkDiscardRequest,
    BulkReprocessRequest,
    DryRun,
    JobFilter,
)
from shared.web.problems import ApiProblem, not_found

router = APIRouter(route_class=ConsoleRoute)

PAGE_SIZE = 25
_DRY_RUN, _START = "dry_run", "start"
_NOT_WHOLE = {"": "The form did not come as this page has it. Load the page anew and send it again."}


@router.get("/failed")
async def show_causes(request: Request, session: Reader) -> Response:
    """The most frequent first."""
    summary = await failures_of(request).summary(FailureFilter(), session.principal)
    return renderer_of(request).page(request, "causes.html", summary=summary)


@router.get("/failed/all")
async def list_failures(request: Request, session: Reader) -> Response:
    """By filters, those that are closed, too."""
    query = from_address(request, FailureQuery, limit=PAGE_SIZE)
    page = None
    if query.value is not None:
        page = await failures_of(request).page(query.value, session.principal)
    return renderer_of(request).page(
        request,
        "failures.html",
        status=200 if query.value is not None else 422,
        given=query.given,
        errors=query.errors,
        page=page,
        statuses=list(FailureStatus),
        channels=list(Channel),
    )


@router.get("/failed/causes/{cause}")
async def show_cause(cause: Cause, request: Request, session: Reader) -> Response:
    """Its failures, and what can be done about them."""
    return await _shown(cause, request, session)


@router.post("/failed/causes/{cause}/reprocess")
async def reprocess_cause(cause: Cause, request: Request, session: Writer) -> Response:
    """A dry run, shown on the page with the button that sends; or a job, which has a page of its own."""
    form = await form_of(request)
    asked = _bulk(cause, form)
    if asked.value is None:
        return await _shown(cause, request, session, form=form, errors=asked.errors)
    try:
        if asked.value.dry_run:
            result = await reprocessing_of(request).dry_run(asked.value, session.principal)
            return await _shown(
                cause, request, session, form=form, dry_run=result, most=_most(result, asked.value)
            )
        job = await jobs_of(request).start(asked.value, session.principal)
    except ApiProblem as problem:
        return await _shown(cause, request, session, form=form, problem=problem)
    return see_other(request, f"{ROOT}/jobs/{job.id}")


@router.post("/failed/causes/{cause}/discard")
async def discard_cause(cause: Cause, request: Request, session: Writer) -> Response:
    """All of it that had failed when the page was made."""
    form = await form_of(request)
    meant = _meant(cause, form)
    if form.get("sure") != "yes":
        errors = {"sure": "Confirm that none of them is ever to be sent."}
        return await _shown(cause, request, session, form=form, errors=errors)
    if meant is None:
        return await _shown(cause, request, session, form=form, errors=_NOT_WHOLE)
    asked = filled(BulkDiscardRequest, {"reason": form.get("reason", "")}, filter=meant)
    if asked.value is None:
        errors = {"reason": "Say why, in 500 characters at most."}
        return await _shown(cause, request, session, form=form, errors=errors)
    try:
        await reprocessing_of(request).discard_many(asked.value, session.principal)
    except ApiProblem as problem:
        return await _shown(cause, request, session, form=form, problem=problem)
    return see_other(request, f"{ROOT}/failed/causes/{cause}?done=discarded")


def _meant(cause: str, form: dict[str, str]) -> JobFilter | None:
    """Until the page was made: what fails later was not looked at by anybody. None where it is not told."""
    found = filled(JobFilter, {"until": form.get("until", "")}, cause=cause)
    return found.value if found.value is not None and found.value.until is not None else None


def _bulk(cause: str, form: dict[str, str]) -> Filled[BulkReprocessRequest]:
    meant, act = _meant(cause, form), form.get("act")
    if meant is None or act not in (_DRY_RUN, _START):
        return Filled(given=form, value=None, errors=_NOT_WHOLE)
    return filled(
        BulkReprocessRequest,
        form,
        filter=meant,
        dry_run=act == _DRY_RUN,
        skip_likely_duplicates=form.get("skip_likely_duplicates") == "yes",
    )


async def _was_discarded(cause: str, request: Request, session: Session) -> bool:
    """Whether they did what the address says was done."""
    if request.query_params.get("done") != "discarded":
        return False
    query = FailureQuery(cause=cause, status=FailureStatus.DISCARDED, limit=PAGE_SIZE)
    found = await failures_of(request).page(query, session.principal)
    return any(failure.closed_by == session.principal.name for failure in found.items)


def _most(run: DryRun, request: BulkReprocessRequest) -> int:
    """How many a job would look at."""
    return min(run.matching, request.limit or run.matching)


async def _shown(
    cause: str,
    request: Request,
    session: Session,
    *,
    form: dict[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    problem: ApiProblem | None = None,
    dry_run: DryRun | None = None,
    most: int = 0,
) -> Response:
    failures = failures_of(request)
    summary = await failures.summary(FailureFilter(cause=cause), session.principal)
    query = from_address(request, FailureQuery, limit=PAGE_SIZE, cause=cause, status=FailureStatus.OPEN)
    if query.value is None:
        raise not_found("There is no such page of this list.")
    page: Page[FailureItem] = await failures.page(query.value, session.principal)
    about: CauseSummary | FailureItem | None = summary.causes[0] if summary.causes else None
    if about is None and page.items:
        about = page.items[0]
    meant = _meant(cause, form or {})
    status = problem.status if problem is not None else 422 if errors else 200
    return renderer_of(request).page(
        request,
        "cause.html",
        status=status,
        cause=cause,
        about=about,
        total=summary.total,
        page=page,
        given=form or {"per_second": f"{USUAL_PER_SECOND:g}"},
        errors=errors or {},
        problem=problem,
        dry_run=dry_run,
        most=most,
        done=await _was_discarded(cause, request, session),
        until=f"{(meant and meant.until) or datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
    )
