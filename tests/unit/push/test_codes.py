"""Every code of FCM and of Google's APIs, and every way in which the transport fails: tables without gaps."""

from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from push_service.providers.fcm.exchange import FcmCode, Progress, RpcStatus, Stage
from push_service.providers.fcm.verdict import judge_answer, judge_broken, judge_timeout
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Row = tuple[int, type[Outcome], str, bool | None]
"""HTTP's status, the outcome, the kind of its problem, and whether a `Retryable` is FCM's own fault."""

CODES: dict[FcmCode, Row] = {
    FcmCode.UNSPECIFIED_ERROR: (500, Unknown, "provider.unclear", None),
    FcmCode.INVALID_ARGUMENT: (400, Rejected, "message.refused", None),
    FcmCode.UNREGISTERED: (404, Rejected, "address.unregistered", None),
    FcmCode.SENDER_ID_MISMATCH: (403, Rejected, "address.refused", None),
    FcmCode.QUOTA_EXCEEDED: (429, Throttled, "provider.throttled", None),
    FcmCode.UNAVAILABLE: (503, Retryable, "provider.unavailable", True),
    FcmCode.INTERNAL: (500, Retryable, "provider.unavailable", True),
    # Of Apple devices and browsers alone: it must not open the breaker for all.
    FcmCode.THIRD_PARTY_AUTH_ERROR: (401, Retryable, "provider.misconfigured", False),
}
STATUSES: dict[RpcStatus, Row] = {
    RpcStatus.CANCELLED: (499, Unknown, "provider.unclear", None),
    RpcStatus.UNKNOWN: (500, Unknown, "provider.unclear", None),
    RpcStatus.INVALID_ARGUMENT: (400, Rejected, "message.refused", None),
    RpcStatus.DEADLINE_EXCEEDED: (504, Unknown, "provider.unclear", None),
    RpcStatus.NOT_FOUND: (404, Retryable, "provider.misconfigured", True),
    RpcStatus.ALREADY_EXISTS: (409, Unknown, "provider.unclear", None),
    RpcStatus.PERMISSION_DENIED: (403, Retryable, "provider.misconfigured", True),
    RpcStatus.UNAUTHENTICATED: (401, Retryable, "provider.misconfigured", True),
    RpcStatus.RESOURCE_EXHAUSTED: (429, Throttled, "provider.throttled", None),
    RpcStatus.FAILED_PRECONDITION: (400, Retryable, "provider.misconfigured", True),
    RpcStatus.ABORTED: (409, Retryable, "provider.unavailable", True),
    RpcStatus.OUT_OF_RANGE: (400, Rejected, "message.refused", None),
    RpcStatus.UNIMPLEMENTED: (501, Retryable, "provider.misconfigured", True),
    RpcStatus.INTERNAL: (500, Retryable, "provider.unavailable", True),
    RpcStatus.UNAVAILABLE: (503, Retryable, "provider.unavailable", True),
    RpcStatus.DATA_LOSS: (500, Unknown, "provider.unclear", None),
}
BROKEN: dict[type[httpx.TransportError], tuple[str, str]] = {
    # The kind before the body was begun, and after it, when it is a doubt.
    httpx.ConnectTimeout: ("provider.timeout", "provider.timeout"),
    httpx.ReadTimeout: ("provider.timeout", "provider.timeout"),
    httpx.WriteTimeout: ("provider.timeout", "provider.timeout"),
    httpx.PoolTimeout: ("provider.timeout", "provider.timeout"),
    httpx.ConnectError: ("provider.unreachable", "provider.disconnected"),
    httpx.ReadError: ("provider.unreachable", "provider.disconnected"),
    httpx.WriteError: ("provider.unreachable", "provider.disconnected"),
    httpx.CloseError: ("provider.unreachable", "provider.disconnected"),
    httpx.LocalProtocolError: ("provider.unreachable", "provider.disconnected"),
    httpx.RemoteProtocolError: ("provider.unreachable", "provider.disconnected"),
    httpx.ProxyError: ("provider.unreachable", "provider.disconnected"),
    httpx.UnsupportedProtocol: ("provider.unreachable", "provider.disconnected"),
}


def row_of(status: int, *, code: str = "", rpc_status: str = "") -> Row:
    details = [{"errorCode": code}] if code else []
    error = {"code": status, "status": rpc_status, "message": "no", "details": details}
    body = msgspec.json.encode({"error": error})
    outcome = judge_answer(status, body, retry_after=None, now=NOW)
    assert not isinstance(outcome, Accepted)
    at_fault = outcome.provider_at_fault if isinstance(outcome, Retryable) else None
    return status, type(outcome), outcome.problem.kind, at_fault


def leaves(root: type[httpx.TransportError]) -> set[type[httpx.TransportError]]:
    below = root.__subclasses__()
    return set().union(*(leaves(error) for error in below)) if below else {root}


@pytest.mark.parametrize("code", FcmCode)
def test_code_of_fcm_has_its_outcome(code: FcmCode) -> None:
    assert row_of(CODES[code][0], code=code) == CODES[code]


@pytest.mark.parametrize("status", RpcStatus)
def test_status_of_google_s_apis_has_its_outcome(status: RpcStatus) -> None:
    assert row_of(STATUSES[status][0], rpc_status=status) == STATUSES[status]


def test_code_says_more_than_the_status_around_it() -> None:
    assert row_of(404, code="UNREGISTERED", rpc_status="NOT_FOUND")[2] == "address.unregistered"
    assert row_of(401, code="THIRD_PARTY_AUTH_ERROR", rpc_status="UNAUTHENTICATED")[3] is False
    assert row_of(400, code="UNREGISTERED", rpc_status="INVALID_ARGUMENT")[2] == "address.unregistered"
    assert row_of(503, code="UNSPECIFIED_ERROR", rpc_status="UNAVAILABLE")[1] is Retryable


def test_code_that_google_has_yet_to_think_of_is_judged_by_its_status() -> None:
    assert row_of(503, code="NEW", rpc_status="UNAVAILABLE")[1] is Retryable
    assert row_of(400, code="NEW", rpc_status="NEWER")[1:3] == (Retryable, "provider.misconfigured")
    assert row_of(500, code="NEW", rpc_status="NEWER")[1] is Unknown


@pytest.mark.parametrize("error", sorted(leaves(httpx.TransportError), key=str))
def test_broken_transport_is_a_doubt_from_the_first_byte_of_the_body_on(
    error: type[httpx.TransportError],
) -> None:
    before, after = BROKEN[error]
    for stage in (Stage.TOKEN, Stage.CONNECTED):
        outcome = judge_broken(error("broken"), Progress(stage=stage))
        assert isinstance(outcome, Retryable)
        assert outcome.problem.kind == before
    outcome = judge_broken(error("broken"), Progress(stage=Stage.SENT))
    assert isinstance(outcome, Unknown)
    assert outcome.problem.kind == after


@pytest.mark.parametrize(
    ("stage", "outcome"),
    [
        (Stage.TOKEN, Retryable),
        (Stage.WAITING, Throttled),
        (Stage.CONNECTED, Retryable),
        (Stage.SENT, Unknown),
    ],
)
def test_time_up_is_a_doubt_after_the_body_alone(stage: Stage, outcome: type[Outcome]) -> None:
    assert type(judge_timeout(Progress(stage=stage))) is outcome
