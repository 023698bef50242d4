"""What FCM's answers mean: a table."""

import json
from datetime import UTC, datetime

import pytest

from push_service.providers.fcm.verdict import DEFAULT_HOLD_S, hold_s, judge_answer, refused_credentials
from shared.contracts.delivery import Problem
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def body_of(
    status: int, name: str, *, code: str | None = None, field: str | None = None, message: str = "no"
) -> bytes:
    details: list[object] = [{"@type": "type.googleapis.com/google.rpc.Help", "links": [{"url": "u"}]}]
    if code:
        details.append({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code})
    if field:
        details.append(
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": field}]}
        )
    error = {"code": status, "message": message, "status": name, "details": details}
    return json.dumps({"error": error}).encode()


def judged(status: int, body: bytes, *, retry_after: str | None = None) -> Outcome:
    return judge_answer(status, body, retry_after=retry_after, now=NOW, private=("device-token-1",))


@pytest.mark.parametrize(
    ("status", "body", "outcome", "kind"),
    [
        (404, body_of(404, "NOT_FOUND", code="UNREGISTERED"), Rejected, "address.unregistered"),
        (404, body_of(404, "NOT_FOUND"), Retryable, "provider.misconfigured"),
        (404, b"<html>not found</html>", Retryable, "provider.misconfigured"),
        (
            400,
            body_of(400, "INVALID_ARGUMENT", code="INVALID_ARGUMENT", field="message.token"),
            Rejected,
            "address.invalid",
        ),
        (400, body_of(400, "INVALID_ARGUMENT", code="INVALID_ARGUMENT"), Rejected, "message.refused"),
        # Without a word of Google's it is not FCM that refused: a proxy, or a wrong address.
        (400, b"", Retryable, "provider.misconfigured"),
        (400, b"<html>bad request</html>", Retryable, "provider.misconfigured"),
        (407, b"<html>proxy</html>", Retryable, "provider.misconfigured"),
        (425, b"", Retryable, "provider.unavailable"),
        (499, b"", Unknown, "provider.unclear"),
        (500, b"", Unknown, "provider.unclear"),
        (500, b"<html>error</html>", Unknown, "provider.unclear"),
        (501, b"", Retryable, "provider.misconfigured"),
        (503, b"<html>no upstream</html>", Unknown, "provider.unclear"),
        (503, b"{}", Unknown, "provider.unclear"),
        (201, b"{}", Unknown, "provider.unclear"),
        (204, b"", Unknown, "provider.unclear"),
        (301, b"<html>moved</html>", Retryable, "provider.misconfigured"),
        (307, b"", Retryable, "provider.misconfigured"),
        (413, b"too large", Rejected, "message.refused"),
        (403, body_of(403, "PERMISSION_DENIED", code="SENDER_ID_MISMATCH"), Rejected, "address.refused"),
        (403, body_of(403, "PERMISSION_DENIED"), Retryable, "provider.misconfigured"),
        (401, body_of(401, "UNAUTHENTICATED"), Retryable, "provider.misconfigured"),
        (
            401,
            body_of(401, "UNAUTHENTICATED", code="THIRD_PARTY_AUTH_ERROR"),
            Retryable,
            "provider.misconfigured",
        ),
        (408, b"", Retryable, "provider.unavailable"),
        (429, body_of(429, "RESOURCE_EXHAUSTED", code="QUOTA_EXCEEDED"), Throttled, "provider.throttled"),
        (429, b"", Throttled, "provider.throttled"),
        (500, body_of(500, "INTERNAL", code="INTERNAL"), Retryable, "provider.unavailable"),
        (503, body_of(503, "UNAVAILABLE", code="UNAVAILABLE"), Retryable, "provider.unavailable"),
        (502, b"<html>bad gateway</html>", Unknown, "provider.unclear"),
        (504, b"", Unknown, "provider.unclear"),
        (302, b"", Retryable, "provider.misconfigured"),
        (200, b"", Unknown, "provider.unclear"),
        (200, b"<html>login</html>", Unknown, "provider.unclear"),
        (200, b'{"name": ""}', Unknown, "provider.unclear"),
        (200, b'{"name": 1}', Unknown, "provider.unclear"),
        (200, b"\xff\xfe", Unknown, "provider.unclear"),
        (200, b'{"x": ' + b"[" * 100_000, Unknown, "provider.unclear"),
        (400, b'{"x": ' + b"[" * 100_000, Retryable, "provider.misconfigured"),
    ],
)
def test_answer_has_its_outcome(*, status: int, body: bytes, outcome: type[Outcome], kind: str) -> None:
    found = judged(status, body)
    assert type(found) is outcome
    assert not isinstance(found, Accepted)
    assert found.problem.kind == kind
    assert found.problem.message.startswith("FCM answered")


def test_message_name_is_the_provider_s_message_id() -> None:
    assert judged(200, b'{"name": "projects/p/messages/1"}') == Accepted(
        provider_message_id="projects/p/messages/1"
    )


def test_device_token_never_gets_into_a_message() -> None:
    found = judged(400, body_of(400, "INVALID_ARGUMENT", message="bad token device-token-1\nsee above"))
    assert isinstance(found, Rejected)
    assert found.problem.message == "FCM answered 400 INVALID_ARGUMENT: bad token <…> see above"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, DEFAULT_HOLD_S),
        ("", DEFAULT_HOLD_S),
        ("5", 5.0),
        (" 30 ", 30.0),
        ("0", 1.0),
        ("99999999999999999999", 3600.0),
        ("Sun, 01 Mar 2026 12:00:45 GMT", 45.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 1.0),
        ("Sun, 01 Mar 2099 11:00:00 GMT", 3600.0),
        ("soon", DEFAULT_HOLD_S),
        ("-5", DEFAULT_HOLD_S),
        ("1.5", DEFAULT_HOLD_S),
        ("\u0665", DEFAULT_HOLD_S),
        ("Sun, 99 Mar 2026 11:00:00 GMT", DEFAULT_HOLD_S),
    ],
)
def test_hold_is_what_the_header_says_within_bounds(header: str | None, seconds: float) -> None:
    assert hold_s(header, now=NOW) == seconds
    found = judged(429, b"", retry_after=header)
    assert isinstance(found, Throttled)
    assert found.after_s == seconds


@pytest.mark.parametrize(
    ("status", "code", "helps"),
    [
        (401, None, True),
        (403, None, True),
        (401, "THIRD_PARTY_AUTH_ERROR", False),
        (403, "SENDER_ID_MISMATCH", False),
        (404, None, False),
        (200, None, False),
    ],
)
def test_new_access_token_is_tried_only_where_it_may_help(status: int, code: str | None, helps: bool) -> None:
    assert refused_credentials(status, body_of(status, "X", code=code)) is helps


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, body_of(503, "UNAVAILABLE", code="UNAVAILABLE")),
        (503, b"<html>overloaded</html>"),
        (500, body_of(500, "INTERNAL", code="INTERNAL")),
    ],
)
def test_overload_that_names_its_end_is_waited_out_without_an_attempt(status: int, body: bytes) -> None:
    found = judged(status, body, retry_after="45")
    assert isinstance(found, Throttled)
    assert found.after_s == 45
    assert found.problem.kind == "provider.unavailable"
    assert not isinstance(judged(status, body, retry_after="soon"), Throttled)


def test_retry_after_of_another_answer_holds_nobody() -> None:
    body = body_of(404, "NOT_FOUND", code="UNREGISTERED")
    assert isinstance(judged(404, body, retry_after="45"), Rejected)


@pytest.mark.parametrize(
    ("message", "violation"),
    [
        ("Device message rate exceeded.", None),
        ("Quota exceeded.", {"subject": "device", "description": "Device message rate exceeded"}),
    ],
)
def test_device_that_gets_too_much_holds_no_other(message: str, violation: dict[str, str] | None) -> None:
    details: list[object] = [{"errorCode": "QUOTA_EXCEEDED"}]
    if violation:
        details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]})
    error = {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}
    found = judged(429, json.dumps({"error": error}).encode())
    assert found == Retryable(
        problem=Problem(kind="address.deferred", message=f"FCM answered 429 QUOTA_EXCEEDED: {message}"),
        provider_at_fault=False,
    )


def test_unusable_token_is_told_from_an_unusable_message_as_google_s_examples_do() -> None:
    token = body_of(
        400,
        "INVALID_ARGUMENT",
        code="INVALID_ARGUMENT",
        message="The registration token is not a valid FCM registration token",
    )
    value = body_of(
        400,
        "INVALID_ARGUMENT",
        field="message.data[0].value",
        message="Invalid value at 'message.data[0].value'",
    )
    kinds = [
        found.problem.kind
        for found in (judged(400, token), judged(400, value))
        if isinstance(found, Rejected)
    ]
    assert kinds == ["address.invalid", "message.refused"]


def test_detail_of_an_unknown_shape_does_not_cost_the_code() -> None:
    details = [{"fieldViolations": "?"}, 7, {"violations": [None]}, {"errorCode": "UNREGISTERED"}]
    error = {"code": 404, "message": "no", "status": "NOT_FOUND", "details": details}
    found = judged(404, json.dumps({"error": error}).encode())
    assert isinstance(found, Rejected)
    assert found.problem.kind == "address.unregistered"
