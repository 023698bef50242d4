"""What failed, by cause; and what is done about a whole cause."""

from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from gateway_service.console.forms import Filled, errors_of, filled, form_of, from_address
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


@router.get("/failed")
async def show_causes(request: Request, session: Reader) -> Response:
    """The most frequent first."""
    summary = await failures_of(request).summary(FailureFilter(), session.principal)
    return renderer_of(request).page(
        request,
        "causes.html",
        summary=summary,
        done=request.query_params.get("done"),
        count=_count(request.query_params.get("count")),
        remaining=_count(request.query_params.get("remaining")),
    )


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
    """A dry run, shown on the page; or a job, which has a page of its own."""
    form = await form_of(request)
    asked = _bulk(cause, form)
    if asked.value is None:
        return await _shown(cause, request, session, form=form, errors=asked.errors)
    try:
        if form.get("act") == "dry_run":
            result = await reprocessing_of(request).dry_run(asked.value, session.principal)
            return await _shown(cause, request, session, form=form, dry_run=result)
        job = await jobs_of(request).start(asked.value, session.principal)
    except ApiProblem as problem:
        return await _shown(cause, request, session, form=form, problem=problem)
    return see_other(request, f"{ROOT}/jobs/{job.id}")


@router.post("/failed/causes/{cause}/discard")
async def discard_cause(cause: Cause, request: Request, session: Writer) -> Response:
    """All of it that had failed when the page was made."""
    form = await form_of(request)
    if form.get("sure") != "yes":
        errors = {"sure": "Confirm that none of them is ever to be sent."}
        return await _shown(cause, request, session, form=form, errors=errors)
    try:
        asked = BulkDiscardRequest.model_validate(
            {"filter": {"cause": cause, "until": form.get("until") or None}, "reason": form.get("reason", "")}
        )
    except ValidationError as error:
        return await _shown(cause, request, session, form=form, errors=errors_of(error))
    try:
        done = await reprocessing_of(request).discard_many(asked, session.principal)
    except ApiProblem as problem:
        return await _shown(cause, request, session, form=form, problem=problem)
    return see_other(
        request, f"{ROOT}/failed?done=discarded&count={done.discarded}&remaining={done.remaining}"
    )


def _bulk(cause: str, form: dict[str, str]) -> Filled[BulkReprocessRequest]:
    """Until the page was made: what fails later was not looked at by anybody."""
    wanted = filled(JobFilter, {"until": form.get("until", "")}, cause=cause)
    if wanted.value is None:
        return Filled(given=form, value=None, errors=wanted.errors)
    return filled(
        BulkReprocessRequest,
        form,
        filter=wanted.value,
        dry_run=form.get("act") == "dry_run",
        skip_likely_duplicates=form.get("skip_likely_duplicates") == "yes",
    )


async def _shown(
    cause: str,
    request: Request,
    session: Session,
    *,
    form: dict[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    problem: ApiProblem | None = None,
    dry_run: DryRun | None = None,
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
        until=(form or {}).get("until") or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
    )


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else 0
