"""FCM's errors, as its REST reference has them.

https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode
"""

from dataclasses import dataclass

import msgspec
from fastapi import Response

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A field and what is wrong with it."""

    field: str
    description: str


@dataclass(frozen=True, kw_only=True)
class FcmFailure:
    """An answer other than 200. `error_code` is FCM's own code, `status` Google's general one."""

    http_status: int
    status: str
    message: str
    error_code: str | None = None
    violations: tuple[Violation, ...] = ()
    retry_after_s: int | None = None

    def response(self) -> Response:
        """As HTTP."""
        details: list[dict[str, object]] = []
        if self.error_code is not None:
            details.append({"@type": _FCM_ERROR, "errorCode": self.error_code})
        if self.violations:
            details.append(
                {
                    "@type": _BAD_REQUEST,
                    "fieldViolations": [
                        {"field": each.field, "description": each.description} for each in self.violations
                    ],
                }
            )
        error = {"code": self.http_status, "message": self.message, "status": self.status, "details": details}
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        if self.http_status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="https://accounts.google.com/"'
        return Response(
            msgspec.json.encode({"error": error}),
            status_code=self.http_status,
            media_type="application/json",
            headers=headers,
        )


class Refused(Exception):
    """Carries the answer to give."""

    def __init__(self, failure: FcmFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def invalid_argument(message: str, *violations: Violation, fcm: bool = False) -> FcmFailure:
    """400; with FCM's own code where the message and not the JSON is wrong."""
    return FcmFailure(
        http_status=400,
        status="INVALID_ARGUMENT",
        message=message,
        error_code="INVALID_ARGUMENT" if fcm else None,
        violations=violations,
    )


UNAUTHENTICATED = FcmFailure(
    http_status=401,
    status="UNAUTHENTICATED",
    message="Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
    "other valid authentication credential.",
)

_BY_TOKEN_PREFIX = {
    "unregistered-": FcmFailure(
        http_status=404,
        status="NOT_FOUND",
        message="Requested entity was not found.",
        error_code="UNREGISTERED",
    ),
    "invalid-": invalid_argument(
        "The registration token is not a valid FCM registration token",
        Violation(
            field="message.token",
            description="The registration token is not a valid FCM registration token",
        ),
        fcm=True,
    ),
    "mismatched-": FcmFailure(
        http_status=403,
        status="PERMISSION_DENIED",
        message="SenderId mismatch",
        error_code="SENDER_ID_MISMATCH",
    ),
    "throttled-": FcmFailure(
        http_status=429,
        status="RESOURCE_EXHAUSTED",
        message="Quota exceeded for quota metric 'Send requests'.",
        error_code="QUOTA_EXCEEDED",
        retry_after_s=2,
    ),
    "unavailable-": FcmFailure(
        http_status=503,
        status="UNAVAILABLE",
        message="The service is currently unavailable.",
        error_code="UNAVAILABLE",
    ),
    "internal-": FcmFailure(
        http_status=500,
        status="INTERNAL",
        message="Internal error encountered.",
        error_code="INTERNAL",
    ),
}


def failure_for(token: str) -> FcmFailure | None:
    """The failure that a device token asks for by its first word, so that each can be tried by hand."""
    return next((each for prefix, each in _BY_TOKEN_PREFIX.items() if token.startswith(prefix)), None)
