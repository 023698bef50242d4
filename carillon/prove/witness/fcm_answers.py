"""FCM's answers: google.rpc.Status with FcmError in its details.

Source: firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode.
"""

import math
from typing import Literal

import msgspec

from carillon.prove.witness.behaviour import Do, Rule
from carillon.prove.witness.http_dialogue import Response

_TYPES = "type.googleapis.com/"


class _Message(msgspec.Struct, frozen=True):
    name: str


class _FcmError(
    msgspec.Struct, frozen=True, tag_field="@type", tag=f"{_TYPES}google.firebase.fcm.v1.FcmError"
):
    errorCode: str  # noqa: N815  # Google's spelling


class _FieldViolation(msgspec.Struct, frozen=True):
    field: str
    description: str


class _BadRequest(msgspec.Struct, frozen=True, tag_field="@type", tag=f"{_TYPES}google.rpc.BadRequest"):
    fieldViolations: tuple[_FieldViolation, ...]  # noqa: N815  # Google's spelling


class _QuotaViolation(msgspec.Struct, frozen=True):
    subject: str
    description: str


class _QuotaFailure(msgspec.Struct, frozen=True, tag_field="@type", tag=f"{_TYPES}google.rpc.QuotaFailure"):
    violations: tuple[_QuotaViolation, ...]


_Detail = _FcmError | _BadRequest | _QuotaFailure


class _Status(msgspec.Struct, frozen=True):
    code: int
    message: str
    status: str
    details: tuple[_Detail, ...] = ()


class _Failure(msgspec.Struct, frozen=True):
    error: _Status


def answer(rule: Rule, *, name: str, project: str) -> Response:
    """To a message that was decided on; `name` is the one it has if it was taken."""
    match rule.do:
        case Do.THROTTLE:
            quota = _QuotaViolation(f"projects/{project}", "Message rate of the project exceeded.")
            return _failed(
                _Status(
                    429,
                    "Quota exceeded for quota metric 'Send requests'.",
                    "RESOURCE_EXHAUSTED",
                    (_FcmError("QUOTA_EXCEEDED"), _QuotaFailure((quota,))),
                ),
                {"Retry-After": str(math.ceil(rule.seconds))},
            )
        case Do.REFUSE_TEMPORARILY:
            return _failed(_fcm(503, "The service is currently unavailable.", "UNAVAILABLE"))
        case Do.TROUBLE:
            return _failed(_fcm(500, "Internal error encountered.", "INTERNAL"))
        case Do.REFUSE:
            return _failed(
                _Status(404, "Requested entity was not found.", "NOT_FOUND", (_FcmError("UNREGISTERED"),))
            )
        case Do.GARBAGE:
            return Response(status=200, body=b"<!doctype html><p>\x00\xff")
    return Response(status=200, body=msgspec.json.encode(_Message(name)))


def unauthenticated() -> Response:
    """No bearer, or none that is good."""
    return _failed(
        _Status(
            401,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
            "other valid authentication credential.",
            "UNAUTHENTICATED",
        ),
        {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'},
    )


def permission_denied() -> Response:
    """Another project's."""
    return _failed(_Status(403, "Permission denied on the project.", "PERMISSION_DENIED"))


def not_found() -> Response:
    """No such path, or not by this method."""
    return _failed(_Status(404, "Requested entity was not found.", "NOT_FOUND"))


def not_json(why: str) -> Response:
    """A body that is not of the documented shape."""
    return _failed(_invalid(f"Invalid JSON payload received. {why}", field="message"))


def no_target() -> Response:
    """A message without a device token, topic or condition."""
    text = "Exactly one of token, topic or condition must be set."
    invalid = _invalid(text, field="message")
    details = (*invalid.details, _FcmError("INVALID_ARGUMENT"))
    return _failed(_Status(invalid.code, invalid.message, invalid.status, details))


def _fcm(code: int, message: str, error: Literal["UNAVAILABLE", "INTERNAL"]) -> _Status:
    """Where Google's general code and FCM's own are one word."""
    return _Status(code, message, error, (_FcmError(error),))


def _invalid(message: str, *, field: str) -> _Status:
    return _Status(400, message, "INVALID_ARGUMENT", (_BadRequest((_FieldViolation(field, message),)),))


def _failed(status: _Status, headers: dict[str, str] | None = None) -> Response:
    return Response(status=status.code, body=msgspec.json.encode(_Failure(status)), headers=headers or {})
