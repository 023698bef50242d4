"""The email channel: whom a mail goes to, and what it is filled with."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from email_service.channel import LONGEST_SUBJECT, EmailChannel
from shared.contracts.channels import Channel, EmailContent, Lane
from shared.contracts.delivery import DeliveryRequested, InlineMessage
from shared.contracts.recipients import Recipient
from shared.delivery.provider import RenderedMessage

CHANNEL = EmailChannel()


def a_request(*, address: str | None = None) -> DeliveryRequested:
    return DeliveryRequested(
        notification_id=uuid4(),
        run=1,
        channel=Channel.EMAIL,
        lane=Lane.NORMAL,
        category="transactional",
        priority=5,
        user_id=None if address else uuid4(),
        address=address,
        message=InlineMessage(subject="Hello", body="Hello"),
        correlation_id="test",
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        expires_at=None,
        test=False,
    )


def a_recipient(*, name: str = "Ann Doe", email: str | None = "ann@example.com") -> Recipient:
    return Recipient(
        id=uuid4(),
        name=name,
        email=email,
        phone=None,
        slack_id=None,
        language=None,
        timezone="UTC",
        enabled={},
        categories={},
        quiet_hours=None,
        devices=(),
    )


def a_rendering(
    *, subject: str | None = "Hello", body: str = "<p>Hello</p>", text_body: str | None = None
) -> RenderedMessage:
    return RenderedMessage(subject=subject, body=body, text_body=text_body)


def test_recipient_s_address_is_the_target() -> None:
    (target,) = CHANNEL.targets(a_request(), a_recipient())
    assert (target.address, target.name) == ("ann@example.com", "Ann Doe")


def test_address_in_the_request_goes_before_the_recipient_s() -> None:
    (target,) = CHANNEL.targets(a_request(address="b@example.com"), a_recipient())
    assert target.address == "b@example.com"
    assert CHANNEL.targets(a_request(address="b@example.com"), None)[0].name is None


def test_target_s_id_is_the_same_however_the_address_is_spelt_and_discloses_nothing() -> None:
    (one,) = CHANNEL.targets(a_request(), a_recipient(email="Ann@Example.com"))
    (other,) = CHANNEL.targets(a_request(), a_recipient(email="ann@example.com"))
    assert one.id == other.id
    assert len(one.id) == len("mail-") + 16
    assert "ann" not in one.id


def test_nobody_and_nobody_s_address_are_no_target() -> None:
    assert not CHANNEL.targets(a_request(), None)
    assert not CHANNEL.targets(a_request(), a_recipient(email=None))


def test_name_with_a_line_break_becomes_one_line() -> None:
    (target,) = CHANNEL.targets(a_request(), a_recipient(name="Ann\r\nBcc: x@example.com"))
    assert target.name == "Ann Bcc: x@example.com"


def test_text_of_its_own_is_kept() -> None:
    assert CHANNEL.content(a_rendering(text_body="Hi")) == EmailContent(
        subject="Hello", html="<p>Hello</p>", text="Hi"
    )


def test_text_is_made_from_the_html_with_its_links() -> None:
    html = (
        "<html><head><title>x</title><style>p {color: red}</style></head><body><h1>Hello &amp; welcome</h1>"
        "<table><tr><td>One</td><td>Two</td></tr></table>"
        "<div><div><div><br><br><br></div></div></div>"
        '<p>Please <a href="https://example.com/reset?t=1">choose a password</a>.</p></body></html>'
    )
    text = CHANNEL.content(a_rendering(body=html)).text
    assert "Hello & welcome" in text
    assert "[choose a password](https://example.com/reset?t=1)" in text
    assert "color" not in text
    assert "\n\n\n" not in text
    assert all(line == line.rstrip() for line in text.split("\n"))


@pytest.mark.parametrize("html", ["", " ", "<!-- nothing -->", "<div>" * 50_000, "<", "\0", "<p>a</p" * 1000])
def test_any_html_gives_some_text(html: str) -> None:
    assert CHANNEL.content(a_rendering(body=html)).text.endswith("\n")


@pytest.mark.parametrize(
    ("subject", "complaint"),
    [
        (None, "empty"),
        ("", "empty"),
        (" \n ", "empty"),
        ("Hello\r\nBcc: x@example.com", "line break"),
        ("Hello\nthere", "line break"),
        ("Hello\0", "control"),
        ("Hello\u2028there", "line break"),
        ("x" * (LONGEST_SUBJECT + 1), "longer"),
        ("\ud800", "surrogate"),
    ],
)
def test_subject_that_is_not_one_line_is_refused(subject: str | None, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        CHANNEL.content(a_rendering(subject=subject))


def test_subject_loses_the_white_space_around_it() -> None:
    assert CHANNEL.content(a_rendering(subject="\n Hello \n")).subject == "Hello"
