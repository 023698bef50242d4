"""One failure whole, and what is done about it."""

from uuid import UUID

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from gateway_service.console.forms import errors_of, filled, form_of
from gateway_service.console.parts import failures_of, reprocessing_of
from gateway_service.console.paths import ROOT
from gateway_service.console.route import ConsoleRoute, renderer_of, see_other
from gateway_service.console.session import Reader, Session, Writer
from shared.contracts.http.failures import FailureDetail
from shared.contracts.http.reprocessing import DiscardRequest, FailureChanges
from shared.web.problems import ApiProblem

router = APIRouter(route_class=ConsoleRoute)


@router.get("/failed/{failure_id}")
async def show(failure_id: UUID, request: Request, session: Reader) -> Response:
    """The message, every attempt, the error, and who did what."""
    return await _shown(failure_id, request, session)


@router.post("/failed/{failure_id}/reprocess")
async def reprocess(failure_id: UUID, request: Request, session: Writer) -> Response:
    """Send it again, as it is or changed."""
    form = await form_of(request)
    failure = await failures_of(request).one(failure_id, session.principal)
    changes, errors = _changes(form, failure)
    if errors:
        return await _shown(failure_id, request, session, form=form, errors=errors)
    try:
        await reprocessing_of(request).one(failure_id, changes, session.principal)
    except ApiProblem as problem:
        return await _refused(failure_id, request, session, form=form, problem=problem)
    return see_other(request, f"{ROOT}/failed/{failure_id}?done=reprocessed")


@router.post("/failed/{failure_id}/discard")
async def discard(failure_id: UUID, request: Request, session: Writer) -> Response:
    """Never send it."""
    form = await form_of(request)
    asked = filled(DiscardRequest, form)
    if asked.value is None:
        errors = {"reason": "Say why, in 500 characters at most."}
        return await _shown(failure_id, request, session, form=form, errors=errors)
    try:
        await reprocessing_of(request).discard(failure_id, asked.value.reason, session.principal)
    except ApiProblem as problem:
        return await _refused(failure_id, request, session, form=form, problem=problem)
    return see_other(request, f"{ROOT}/failed/{failure_id}?done=discarded")


def _changes(form: dict[str, str], failure: FailureDetail) -> tuple[FailureChanges | None, dict[str, str]]:
    """What is to be another than it is; None where that is nothing. And what does not fit, by field."""
    message = failure.message
    given: dict[str, object] = {}
    if form.get("to") and failure.notification_type is not None:
        given["to"] = {failure.notification_type.value: form["to"]}
    if form.get("template_code") and (message is None or form["template_code"] != message.template_code):
        given["template_code"] = form["template_code"]
    if form.get("variables"):
        try:
            variables = msgspec.json.decode(form["variables"])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return None, {"variables": f"This is not JSON: {error}."}
        if not isinstance(variables, dict):
            return None, {"variables": 'Variables are an object, such as {"name": "Ann"}.'}
        if message is None or message.masked or variables != message.variables:
            given["variables"] = variables
    if not given:
        return None, {}
    try:
        return FailureChanges.model_validate(given), {}
    except ValidationError as error:
        return None, {field.partition(".")[0]: text for field, text in errors_of(error).items()}


async def _refused(
    failure_id: UUID, request: Request, session: Session, *, form: dict[str, str], problem: ApiProblem
) -> Response:
    if problem.status == 404:
        raise problem
    errors = {
        error.field.removeprefix("changes.").partition(".")[0]: error.message for error in problem.errors
    }
    return await _shown(failure_id, request, session, form=form, errors=errors, problem=problem)


async def _shown(
    failure_id: UUID,
    request: Request,
    session: Session,
    *,
    form: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    problem: ApiProblem | None = None,
) -> Response:
    failure = await failures_of(request).one(failure_id, session.principal)
    status = problem.status if problem is not None else 422 if errors else 200
    return renderer_of(request).page(
        request,
        "failure.html",
        status=status,
        failure=failure,
        given=form or {},
        errors=errors or {},
        problem=problem,
        done=request.query_params.get("done"),
    )
