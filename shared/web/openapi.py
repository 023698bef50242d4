"""The OpenAPI description: every route lists what it can answer, errors in the form they really have."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shared.contracts.http.base import ProblemBody
from shared.web.admission import always_answered
from shared.web.examples import example_of
from shared.web.problems import KINDS, MEDIA_TYPE, TYPE_PREFIX

_SCHEMA = "Problem"
_METHODS = ("get", "post", "put", "patch", "delete")
_ALWAYS = (400, 408, 413, 415, 500)
"""The body is read before the route is known, so one that nobody asked for is refused as well."""
_AUTHENTICATED = (401, 403)
_REFUSED = {
    429: "`too_many_at_once`: as many requests of this caller's are under way as one may have. Nothing was "
    "stored.",
    503: "`overloaded`: more is asked than can be taken in. Nothing was stored.",
}
"""What a service that takes in so much and no more answers to any request."""
_DETAILS = {
    400: "Not valid JSON: invalid character (byte 17).",
    401: "No valid credentials were given.",
    403: "This needs the scope notifications:send.",
    404: "There is no such notification.",
    408: "The body was not complete within 15 s.",
    409: "A request with this key is still in progress.",
    413: "The body may have 2097152 bytes at most.",
    415: "Send the body as application/json.",
    422: "template_code: Field required",
    429: "At most 10 requests a minute.",
    500: "The error was recorded under this correlation id.",
    503: "The database does not answer; nothing is known to be stored. Ask again.",
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route or router: these statuses as problems, with an example each."""
    return {status: _response(status) for status in statuses}


def describe(app: FastAPI, *, may_refuse: bool) -> None:
    """Have `app.openapi()` speak of problems where FastAPI speaks of its own validation errors, and add
    to each route what the shell around it answers. `may_refuse`: whether it takes in so much and no more."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app, may_refuse=may_refuse)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way


def _described(app: FastAPI, *, may_refuse: bool) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=app.description or None,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    problem = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas[_SCHEMA] = problem
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    for path, operations in document.get("paths", {}).items():
        for method in _METHODS:
            if method in operations:
                if may_refuse and not always_answered(path):
                    _add_refusals(operations[method])
                _complete(operations[method], schemas)
    return document


def _add_refusals(operation: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation.setdefault("responses", {})
    for status, words in _REFUSED.items():
        response = responses.setdefault(str(status), _response(status))
        response["description"] += f". {words}"


def _complete(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    responses: dict[str, Any] = operation.setdefault("responses", {})
    if "HTTPValidationError" in str(responses.get("422")):
        responses["422"] = _response(422)
    possible = [*_ALWAYS]
    if "requestBody" in operation:
        possible.append(422)
    if operation.get("security"):
        possible += _AUTHENTICATED
    for status in possible:
        responses.setdefault(str(status), _response(status))
    operation["responses"] = dict(sorted(responses.items()))
    for described in (operation.get("requestBody", {}), *responses.values()):
        for media in described.get("content", {}).values():
            if "schema" in media and not media.keys() & {"example", "examples"}:
                media["example"] = example_of(media["schema"], schemas)


def _response(status: int) -> dict[str, Any]:
    kind, title = ("malformed_json", "The body is not JSON") if status == 400 else KINDS[status]
    example: dict[str, Any] = {
        "type": TYPE_PREFIX + kind,
        "title": title,
        "status": status,
        "detail": _DETAILS.get(status, title),
        "instance": "/api/v1/notifications",
        "correlation_id": "0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d",
    }
    if status == 422:
        example["errors"] = [{"field": "template_code", "message": "Field required"}]
    response: dict[str, Any] = {
        "description": title,
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{_SCHEMA}"}, "example": example}},
    }
    if status in (429, 503):
        response["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        }
    if status == 401:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return response
