"""The words of an exchange with FCM: how far a request came, and what is said in a refusal."""

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, StrEnum

import msgspec


class Stage(Enum):
    """How far a request came; the value names it in messages."""

    TOKEN = "getting an access token"
    WAITING = "waiting for a connection"
    CONNECTED = "connecting"
    SENT = "sent"


@dataclass
class Progress:
    """`SENT` from the moment that bytes of the body may have left us."""

    stage: Stage = Stage.TOKEN

    async def trace(self, event: str, _info: object) -> None:
        """httpcore's trace hook (httpcore's documentation, "Extensions")."""
        if event.endswith(".send_request_body.started"):
            self.stage = Stage.SENT
        elif self.stage is Stage.WAITING:
            self.stage = Stage.CONNECTED


class FcmCode(StrEnum):
    """FCM's own codes: firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode."""

    UNSPECIFIED_ERROR = "UNSPECIFIED_ERROR"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    UNREGISTERED = "UNREGISTERED"
    SENDER_ID_MISMATCH = "SENDER_ID_MISMATCH"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"
    THIRD_PARTY_AUTH_ERROR = "THIRD_PARTY_AUTH_ERROR"


class RpcStatus(StrEnum):
    """What Google's APIs say in `error.status`: google/rpc/code.proto, without OK."""

    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"


class _Violation(msgspec.Struct, frozen=True):
    field: str = ""
    subject: str = ""
    description: str = ""


class _Detail(msgspec.Struct, frozen=True):
    """Of `details`, the members of FcmError, BadRequest and QuotaFailure that matter."""

    errorCode: str = ""  # noqa: N815  # Google's spelling
    fieldViolations: tuple[_Violation, ...] = ()  # noqa: N815  # Google's spelling
    violations: tuple[_Violation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FcmError:
    """`error` of an answer (google.rpc.Status); all empty where there is none that can be read."""

    status: str = ""
    message: str = ""
    details: tuple[_Detail, ...] = ()

    @property
    def code(self) -> str:
        """FCM's own code, or an empty text."""
        return next((detail.errorCode for detail in self.details if detail.errorCode), "")

    @property
    def is_about_the_token(self) -> bool:
        """Whether an invalid argument is the device's token."""
        fields = {violation.field for detail in self.details for violation in detail.fieldViolations}
        return "message.token" in fields or (not fields and "registration token" in self.message.lower())

    @property
    def is_about_one_device(self) -> bool:
        """Whether a quota is that of one device, not of our project."""
        quotas = (violation for detail in self.details for violation in detail.violations)
        said = [self.message, *(f"{quota.subject} {quota.description}" for quota in quotas)]
        return any("device" in text.lower() for text in said)


class _RawError(msgspec.Struct, frozen=True):
    status: str = ""
    message: str = ""
    details: tuple[msgspec.Raw, ...] = ()


class _ErrorAnswer(msgspec.Struct, frozen=True):
    error: _RawError


class _SentAnswer(msgspec.Struct, frozen=True):
    name: str


# msgspec gives up on JSON nested too deeply with a RecursionError.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read_error(body: bytes) -> FcmError:
    """The error of an answer. A detail of a shape that is not known does not cost the others."""
    try:
        raw = msgspec.json.decode(body, type=_ErrorAnswer).error
    except _UNREADABLE:
        return FcmError()
    details = []
    for detail in raw.details:
        with suppress(*_UNREADABLE):
            details.append(msgspec.json.decode(detail, type=_Detail))
    return FcmError(status=raw.status, message=raw.message, details=tuple(details))


def read_name(body: bytes) -> str:
    """The name that FCM gave to a message it took, or an empty text."""
    try:
        return msgspec.json.decode(body, type=_SentAnswer).name
    except _UNREADABLE:
        return ""
