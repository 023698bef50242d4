"""What FCM's answer, or its silence, means for a notification. Pure.

FCM's own code says most, then the status of Google's APIs, then HTTP's. The line between "never" and "later"
is drawn at whom a refusal is about: this device or this message is `Rejected`; our project or credentials are
`Retryable` with the kind `provider.misconfigured`, since an operator's mistake must not burn messages. The
line between "later" and "unknown" at whether FCM itself said no: what stands between us and FCM cannot know.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Final

import httpx

from push_service.providers.fcm.exchange import (
    FcmCode,
    FcmError,
    Progress,
    RpcStatus,
    Stage,
    read_error,
    read_name,
)
from shared.contracts.delivery import Problem
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown

DEFAULT_HOLD_S: Final = 60.0
"""Seconds to wait after a 429 without Retry-After; Google asks for a minute."""
LONGEST_HOLD_S: Final = 3600.0
_LONGEST_TEXT: Final = 300
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


class _Meaning(Enum):
    UNREGISTERED = auto()
    MISMATCHED = auto()
    INVALID = auto()
    QUOTA = auto()
    DOWN = auto()
    MISCONFIGURED = auto()
    THIRD_PARTY = auto()
    """Our account at Apple or at a browser's push service: devices of other makes are not concerned."""
    UNCLEAR = auto()


_OF_CODES: Final[Mapping[str, _Meaning]] = {
    FcmCode.INVALID_ARGUMENT: _Meaning.INVALID,
    FcmCode.UNREGISTERED: _Meaning.UNREGISTERED,
    FcmCode.SENDER_ID_MISMATCH: _Meaning.MISMATCHED,
    FcmCode.QUOTA_EXCEEDED: _Meaning.QUOTA,
    FcmCode.UNAVAILABLE: _Meaning.DOWN,
    FcmCode.INTERNAL: _Meaning.DOWN,
    FcmCode.THIRD_PARTY_AUTH_ERROR: _Meaning.THIRD_PARTY,
}
"""Without UNSPECIFIED_ERROR, which leaves it to what follows."""
_OF_STATUSES: Final[Mapping[str, _Meaning]] = {
    RpcStatus.CANCELLED: _Meaning.UNCLEAR,
    RpcStatus.UNKNOWN: _Meaning.UNCLEAR,
    RpcStatus.INVALID_ARGUMENT: _Meaning.INVALID,
    RpcStatus.DEADLINE_EXCEEDED: _Meaning.UNCLEAR,
    RpcStatus.NOT_FOUND: _Meaning.MISCONFIGURED,  # without UNREGISTERED: the project or the URL
    RpcStatus.ALREADY_EXISTS: _Meaning.UNCLEAR,
    RpcStatus.PERMISSION_DENIED: _Meaning.MISCONFIGURED,
    RpcStatus.UNAUTHENTICATED: _Meaning.MISCONFIGURED,
    RpcStatus.RESOURCE_EXHAUSTED: _Meaning.QUOTA,
    RpcStatus.FAILED_PRECONDITION: _Meaning.MISCONFIGURED,
    RpcStatus.ABORTED: _Meaning.DOWN,
    RpcStatus.OUT_OF_RANGE: _Meaning.INVALID,
    RpcStatus.UNIMPLEMENTED: _Meaning.MISCONFIGURED,
    RpcStatus.INTERNAL: _Meaning.DOWN,
    RpcStatus.UNAVAILABLE: _Meaning.DOWN,
    RpcStatus.DATA_LOSS: _Meaning.UNCLEAR,
}


def refused_credentials(status: int, body: bytes) -> bool:
    """Whether a new access token may help."""
    return status in (401, 403) and read_error(body).code not in (
        FcmCode.SENDER_ID_MISMATCH,
        FcmCode.THIRD_PARTY_AUTH_ERROR,
    )


def judge_answer(
    status: int, body: bytes, *, retry_after: str | None, now: datetime, private: Sequence[str] = ()
) -> Outcome:
    """The outcome of a notification that was answered; `private` texts are masked in messages.

    FCM asks for Retry-After to be kept with 503 as with 429, so a 503 that names a time holds the provider
    too, and spends no attempt.
    """
    if 200 <= status < 300:
        return _judge_success(status, body)
    error = read_error(body)
    said = error.code or error.status
    text = f"FCM answered {status} {said}".rstrip() + f": {_mask(error.message, private)}"
    text = text.removesuffix(": ")
    named_s = _named_s(retry_after, now=now)
    meaning = _OF_CODES.get(error.code) or _OF_STATUSES.get(error.status) or _of_http(status)
    if status == 503 and named_s is not None:
        meaning = _Meaning.DOWN
    match meaning:
        case _Meaning.QUOTA if error.is_about_one_device:
            # Not to be held for the sake of one device that gets too much.
            return Retryable(problem=Problem(kind="address.deferred", message=text), provider_at_fault=False)
        case _Meaning.QUOTA:
            after_s = DEFAULT_HOLD_S if named_s is None else named_s
            return Throttled(after_s=after_s, problem=Problem(kind="provider.throttled", message=text))
        case _Meaning.DOWN if named_s is not None:
            return Throttled(after_s=named_s, problem=Problem(kind="provider.unavailable", message=text))
        case _Meaning.UNCLEAR:
            return Unknown(problem=Problem(kind="provider.unclear", message=text))
        case _Meaning.DOWN | _Meaning.MISCONFIGURED | _Meaning.THIRD_PARTY:
            kind = "provider.unavailable" if meaning is _Meaning.DOWN else "provider.misconfigured"
            return Retryable(
                problem=Problem(kind=kind, message=text),
                provider_at_fault=meaning is not _Meaning.THIRD_PARTY,
            )
    return Rejected(problem=Problem(kind=_kind_of_refusal(meaning, error), message=text))


def judge_timeout(progress: Progress) -> Outcome:
    """The outcome of a notification whose time ran out."""
    if progress.stage is Stage.SENT:
        message = "FCM did not answer in time after the message was sent: it may have been taken."
        return Unknown(problem=Problem(kind="provider.timeout", message=message))
    if progress.stage is Stage.WAITING:
        # Our own connections were all busy: no fault of this message, so no attempt is spent.
        return Throttled(
            after_s=1.0, problem=Problem(kind="provider.busy", message="All connections to FCM are in use.")
        )
    message = f"FCM did not answer in time ({progress.stage.value})."
    return Retryable(problem=Problem(kind="provider.timeout", message=message))


def judge_broken(error: Exception, progress: Progress) -> Outcome:
    """The outcome of a notification on whose way the connection failed."""
    if isinstance(error, httpx.TimeoutException):
        return judge_timeout(progress)
    what = type(error).__name__
    if progress.stage is Stage.SENT:
        message = f"The connection to FCM broke after the message was sent ({what}): it may have been taken."
        return Unknown(problem=Problem(kind="provider.disconnected", message=message))
    return Retryable(problem=Problem(kind="provider.unreachable", message=f"FCM not reached ({what})."))


def deadline_passed() -> Outcome:
    """The outcome of a notification that was not sent since its time was up."""
    return Retryable(
        problem=Problem(kind="deadline.passed", message="The time to send it was up before it was sent."),
        provider_at_fault=False,
    )


def hold_s(retry_after: str | None, *, now: datetime) -> float:
    """Seconds to wait by a Retry-After header (RFC 9110 10.2.3: seconds or a date), between 1 and 3,600."""
    named_s = _named_s(retry_after, now=now)
    return DEFAULT_HOLD_S if named_s is None else named_s


def _named_s(retry_after: str | None, *, now: datetime) -> float | None:
    value = (retry_after or "").strip()
    if value.isascii() and value.isdigit():
        return min(max(float(value[:10]), 1.0), LONGEST_HOLD_S)
    try:
        date = parsedate_to_datetime(value)
        wait_s = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(wait_s, 1.0), LONGEST_HOLD_S)


def _judge_success(status: int, body: bytes) -> Outcome:
    name = read_name(body)
    if name:
        return Accepted(provider_message_id=name)
    message = f"FCM answered {status}, but with no message name."
    return Unknown(problem=Problem(kind="provider.unclear", message=message))


def _of_http(status: int) -> _Meaning:
    """Of an answer in which nothing of Google's can be read: a proxy's, or that of a wrong address."""
    if status == 429:
        return _Meaning.QUOTA
    if status == 413:
        return _Meaning.INVALID
    if status in (408, 425):
        return _Meaning.DOWN
    if status == 501 or (300 <= status < 500 and status != 499):
        return _Meaning.MISCONFIGURED
    # Of 500 and above a proxy may say the same before and after FCM took the message.
    return _Meaning.UNCLEAR


def _kind_of_refusal(meaning: _Meaning, error: FcmError) -> str:
    if meaning is _Meaning.UNREGISTERED:
        return "address.unregistered"
    if meaning is _Meaning.MISMATCHED:
        return "address.refused"
    return "address.invalid" if error.is_about_the_token else "message.refused"


def _mask(text: str, private: Sequence[str]) -> str:
    for secret in private:
        if secret:
            text = text.replace(secret, "<…>")
    text = _UNPRINTABLE.sub(" ", text).strip()
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
