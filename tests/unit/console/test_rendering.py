"""Pages show values as text, and only what somebody may do."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from gateway_service.console.rendering import Renderer, duration, number, query_string, time_element, tone
from gateway_service.console.session import Session
from gateway_service.console.statics import Statics
from gateway_service.domain.access import Principal
from shared.contracts.http.auth import Scope
from shared.contracts.http.base import Page
from shared.contracts.http.failures import CauseSummary, FailureItem
from shared.contracts.http.notification_answers import NotificationStatus

RENDERER = Renderer(Statics())
NOW = datetime(2030, 1, 31, 8, 0, tzinfo=UTC)
ATTACK = "</script><script>alert(1)</script>\"' onmouseover=alert(1) {{ 7*7 }}"


def a_session(*scopes: Scope) -> Session:
    """Of an operator with these scopes."""
    somebody = UUID(int=7)
    principal = Principal(
        owner=somebody, user_id=somebody, role=None, scopes=frozenset(scopes), kind="user", test=False
    )
    return Session(principal=principal, form_token="f" * 64, expires_at=NOW)


def a_cause(**changes: object) -> CauseSummary:
    """Of mails that were refused."""
    return CauseSummary.model_validate(
        {
            "cause": "a" * 32,
            "notification_type": "email",
            "provider": "smtp",
            "error_type": "provider.rejected",
            "template_code": "welcome",
            "count": 9_000,
            "first_seen": NOW,
            "last_seen": NOW,
            "example_id": UUID(int=1),
            "error": "550 5.1.1 no such user",
            **changes,
        }
    )


def the_page_of_a_cause(session: Session, cause: CauseSummary) -> str:
    """As it is shown to them."""
    return RENDERER.fragment(
        "cause.html",
        session=session,
        path="/console/failed/causes/a",
        request_cursor=None,
        cause=cause.cause,
        about=cause,
        total=cause.count,
        page=Page[FailureItem](items=(), next_cursor=None),
        given={},
        errors={},
        problem=None,
        dry_run=None,
        most=0,
        done=False,
        until="2030-01-31T08:00:00.000000Z",
    )


def test_what_a_provider_or_sender_wrote_is_shown_as_text() -> None:
    page = the_page_of_a_cause(
        a_session(Scope.FAILED_WRITE), a_cause(error=ATTACK, error_type=ATTACK, template_code=ATTACK)
    )
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "{{ 7*7 }}" in page


def test_who_may_only_read_is_offered_nothing_else() -> None:
    reader = the_page_of_a_cause(a_session(Scope.FAILED_READ), a_cause())
    writer = the_page_of_a_cause(a_session(Scope.FAILED_READ, Scope.FAILED_WRITE), a_cause())
    assert "/reprocess" in writer
    assert "/reprocess" not in reader
    assert "/discard" not in reader
    assert "may only read" in reader


def test_times_are_in_utc_and_readable_by_machines() -> None:
    at = datetime(2030, 1, 31, 10, 0, tzinfo=timezone(timedelta(hours=2)))
    assert time_element(at) == '<time datetime="2030-01-31T08:00:00Z">2030-01-31 08:00:00 UTC</time>'


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (200, "3 min 20 s"), (3_600, "1 h"), (90_000, "1 d 1 h")],
)
def test_durations_name_their_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_are_grouped_and_addresses_leave_out_what_is_not_given() -> None:
    assert (number(9000), number(0.5)) == ("9\u202f000", "0.5")
    assert query_string(a=None, b="", c="x y", d=1) == "?c=x+y&d=1"


def test_every_status_that_is_an_end_or_a_doubt_has_a_tone() -> None:
    tones = {status: tone(status) for status in NotificationStatus}
    assert tones[NotificationStatus.SENT] == "good"
    assert tones[NotificationStatus.FAILED] == "bad"
    assert tones[NotificationStatus.UNKNOWN] == "doubt"
