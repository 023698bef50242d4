"""Errors as `application/problem+json` (RFC 9457): what routes raise, and how everything raised is answered.

The kinds that the shell around the routes answers with are in `KINDS`; a service adds its own with
`ApiProblem(kind=…)`. `type` is `urn:carillon:problem:<kind>` and never changes its meaning.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shared.database.errors import CommitUnknown, DatabaseUnavailable, Overloaded, unavailability
from shared.process.correlation import correlation_id
from shared.web.methods import allowed_methods

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:carillon:problem:"
_MOST_ERRORS = 100

KINDS: dict[int, tuple[str, str]] = {
    400: ("bad_request", "The request cannot be understood"),
    401: ("unauthorized", "Authentication is needed"),
    403: ("forbidden", "Not allowed"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "This method is not offered here"),
    408: ("request_timeout", "The body did not come in time"),
    409: ("conflict", "In conflict with what is there"),
    413: ("body_too_large", "The body is too large"),
    415: ("unsupported_media_type", "The body has a type that is not taken here"),
    422: ("validation", "The request is not valid"),
    429: ("rate_limited", "Too many requests"),
    500: ("internal", "An error of ours"),
    503: ("unavailable", "Not available just now"),
}
"""Kind and title by status, for answers that need no kind of their own."""


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field; `field` is dotted, as in `notifications.3.user_id`."""

    field: str
    message: str


class ApiProblem(Exception):
    """Raise it in a route, a dependency or the domain to answer with a problem. `detail` is for people and
    holds no value that somebody else could not see anyway."""

    def __init__(
        self,
        *,
        status: int,
        detail: str,
        kind: str | None = None,
        title: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        usual_kind, usual_title = KINDS.get(status, (f"http_{status}", _phrase(status)))
        self.status = status
        self.kind = kind or usual_kind
        self.title = title or usual_title
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


def unauthorized(detail: str = "No valid credentials were given.") -> ApiProblem:
    """401."""
    return ApiProblem(status=401, detail=detail)


def forbidden(detail: str) -> ApiProblem:
    """403."""
    return ApiProblem(status=403, detail=detail)


def not_found(detail: str) -> ApiProblem:
    """404."""
    return ApiProblem(status=404, detail=detail)


def conflict(detail: str, *, kind: str | None = None) -> ApiProblem:
    """409."""
    return ApiProblem(status=409, detail=detail, kind=kind)


def unprocessable(field: str, message: str, *, kind: str | None = None) -> ApiProblem:
    """422 for one field."""
    return ApiProblem(status=422, detail=message, kind=kind, errors=[FieldError(field, message)])


def rate_limited(detail: str, *, retry_after_s: int, headers: Mapping[str, str] | None = None) -> ApiProblem:
    """429."""
    return ApiProblem(
        status=429, detail=detail, headers={**(headers or {}), "Retry-After": str(max(1, retry_after_s))}
    )


def unavailable(detail: str, *, retry_after_s: int = 1, kind: str | None = None) -> ApiProblem:
    """503."""
    return ApiProblem(status=503, detail=detail, kind=kind, headers={"Retry-After": str(retry_after_s)})


def problem_response(problem: ApiProblem, *, path: str) -> Response:
    """The answer to the request for `path`, with the headers that its status calls for."""
    headers = dict(problem.headers)
    if problem.status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    if problem.status in (429, 503):
        headers.setdefault("Retry-After", "1")
    body: dict[str, object] = {
        "type": TYPE_PREFIX + problem.kind,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": path,
        "correlation_id": correlation_id(),
    }
    if problem.errors:
        body["errors"] = problem.errors
    return Response(
        msgspec.json.encode(body), status_code=problem.status, headers=headers, media_type=MEDIA_TYPE
    )


def add_problem_handlers(app: FastAPI) -> None:
    """Answer everything that routes may raise, except what is unexpected (observation.py answers that)."""
    for error_type in (ApiProblem, RequestValidationError, HTTPException, DatabaseUnavailable, Overloaded):
        app.add_exception_handler(error_type, _answer)
    for driver_error_type in (DBAPIError, NoFreeConnection):
        app.add_exception_handler(driver_error_type, _answer_database_error)


async def _answer(request: Request, error: Exception) -> Response:
    problem = as_problem(error)
    if problem.status == 405:
        problem.headers["Allow"] = ", ".join(allowed_methods(request.app, request.url.path))
    return problem_response(problem, path=request.url.path)


async def _answer_database_error(request: Request, error: Exception) -> Response:
    """For sessions used without Database.session, which translates."""
    translated = unavailability(error)
    if translated is None:
        raise error
    return problem_response(as_problem(translated), path=request.url.path)


def as_problem(error: Exception) -> ApiProblem:
    """The problem that an expected error is answered with; 500 for any other."""
    if isinstance(error, ApiProblem):
        return error
    if isinstance(error, RequestValidationError):
        return _validation_problem(error)
    if isinstance(error, HTTPException):
        return ApiProblem(status=error.status_code, detail=str(error.detail), headers=error.headers)
    if isinstance(error, CommitUnknown):
        return unavailable(
            "It is not known whether this was stored: ask again with the same key.", kind="commit_unknown"
        )
    if isinstance(error, DatabaseUnavailable):
        return unavailable("The database does not answer; nothing is known to be stored. Ask again.")
    if isinstance(error, Overloaded):
        return unavailable("More is being written than can be taken in; nothing was stored. Ask again.")
    return ApiProblem(status=500, detail="The error was recorded under this correlation id.")


def _validation_problem(error: RequestValidationError) -> ApiProblem:
    found = [
        FieldError(_field_name(item), str(item["msg"]).removeprefix("Value error, "))
        for item in error.errors()[:_MOST_ERRORS]
    ]
    detail = "; ".join(f"{item.field}: {item.message}" for item in found[:3])
    return ApiProblem(status=422, detail=detail, errors=found)


def _field_name(item: Mapping[str, Any]) -> str:
    """FastAPI's location begins with where the field stands: body, query, path, header. A check of a whole
    body may name the field that it is about in its context."""
    where, *names = [str(part) for part in item["loc"]] or ["body"]
    names += [str(item["ctx"]["field"])] if "field" in item.get("ctx", {}) else []
    return ".".join(names) if names else where


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
