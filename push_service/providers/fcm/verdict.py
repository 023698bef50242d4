"""What FCM's answer, or its silence, means for a notification. Pure.

Codes: firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode. The line between "never" and "later" is
drawn at whom a refusal is about: this device or this message is `Rejected`; our project or credentials are
`Retryable` with the kind `provider.misconfigured`, since an operator's mistake must not burn messages.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from shared.contracts.delivery import Problem
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown

DEFAULT_HOLD_S: Final = 60.0
"""Seconds to wait after a 429 without Retry-After; Google asks for a minute."""
LONGEST_HOLD_S: Final = 3600.0
_LONGEST_TEXT: Final = 300
# msgspec gives up on JSON nested too deeply with a RecursionError.
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


class _Violation(msgspec.Struct, frozen=True):
    field: str = ""


class _Detail(msgspec.Struct, frozen=True):
    """Of `details`, the members of FcmError and BadRequest that matter."""

    errorCode: str = ""  # noqa: N815  # Google's spelling
    fieldViolations: tuple[_Violation, ...] = ()  # noqa: N815  # Google's spelling


class _Error(msgspec.Struct, frozen=True):
    status: str = ""
    message: str = ""
    details: tuple[_Detail, ...] = ()


class _ErrorAnswer(msgspec.Struct, frozen=True):
    error: _Error


class _SentAnswer(msgspec.Struct, frozen=True):
    name: str


def refused_credentials(status: int, body: bytes) -> bool:
    """Whether a new access token may help."""
    return status in (401, 403) and _error_code(_error(body)) not in (
        "SENDER_ID_MISMATCH",
        "THIRD_PARTY_AUTH_ERROR",
    )


def judge_answer(
    status: int, body: bytes, *, retry_after: str | None, now: datetime, private: Sequence[str] = ()
) -> Outcome:
    """The outcome of a notification that was answered; `private` texts are masked in messages."""
    if status == 200:
        return _judge_success(body)
    error = _error(body)
    code = _error_code(error)
    text = f"FCM answered {status} {code or error.status}".rstrip() + f": {_mask(error.message, private)}"
    text = text.removesuffix(": ")
    if status == 429 or code == "QUOTA_EXCEEDED":
        return Throttled(
            after_s=hold_s(retry_after, now=now), problem=Problem(kind="provider.throttled", message=text)
        )
    if status in (500, 503):
        return Retryable(problem=Problem(kind="provider.unavailable", message=text))
    if status >= 500:
        # A gateway in between (502, 504) cannot say whether FCM took it.
        return Unknown(problem=Problem(kind="provider.unclear", message=text))
    if 400 <= status < 500:
        return _judge_refusal(status, code, error, text)
    return Retryable(problem=Problem(kind="provider.misconfigured", message=text))


def hold_s(retry_after: str | None, *, now: datetime) -> float:
    """Seconds to wait by a Retry-After header (RFC 9110 10.2.3: seconds or a date), between 1 and 3,600."""
    wait_s = DEFAULT_HOLD_S
    value = (retry_after or "").strip()
    if value.isascii() and value.isdigit():
        wait_s = float(value[:10])
    elif value:
        try:
            date = parsedate_to_datetime(value)
            wait_s = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now.timestamp()
        except (ValueError, OverflowError):
            wait_s = DEFAULT_HOLD_S
    return min(max(wait_s, 1.0), LONGEST_HOLD_S)


def _judge_success(body: bytes) -> Outcome:
    try:
        name = msgspec.json.decode(body, type=_SentAnswer).name
    except _UNREADABLE:
        name = ""
    if name:
        return Accepted(provider_message_id=name)
    return Unknown(
        problem=Problem(kind="provider.unclear", message="FCM answered 200, but with no message name.")
    )


def _judge_refusal(status: int, code: str, error: _Error, text: str) -> Outcome:
    if code == "UNREGISTERED":
        return Rejected(problem=Problem(kind="address.unregistered", message=text))
    if code == "SENDER_ID_MISMATCH":
        return Rejected(problem=Problem(kind="address.refused", message=text))
    if status in (401, 403, 404):
        # 404 without UNREGISTERED: the project or the URL is wrong, not the device.
        return Retryable(problem=Problem(kind="provider.misconfigured", message=text))
    if status == 408:
        return Retryable(problem=Problem(kind="provider.unavailable", message=text))
    fields = {violation.field for detail in error.details for violation in detail.fieldViolations}
    kind = "address.invalid" if "message.token" in fields else "message.refused"
    return Rejected(problem=Problem(kind=kind, message=text))


def _error(body: bytes) -> _Error:
    try:
        return msgspec.json.decode(body, type=_ErrorAnswer).error
    except _UNREADABLE:
        return _Error()


def _error_code(error: _Error) -> str:
    """FCM's own code, or an empty text."""
    return next((detail.errorCode for detail in error.details if detail.errorCode), "")


def _mask(text: str, private: Sequence[str]) -> str:
    for secret in private:
        if secret:
            text = text.replace(secret, "<…>")
    text = _UNPRINTABLE.sub(" ", text).strip()
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
