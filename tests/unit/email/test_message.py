"""Whole mails: read back with the standard library they are what went in."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_service.mime.address import parse_mailbox, parse_sender
from email_service.mime.message import Mail, compose


def a_mail(**changes: object) -> Mail:
    values: dict[str, object] = {
        "sender": parse_sender("Carillon <no-reply@carillon.localhost>"),
        "recipient": parse_mailbox("ann@example.com", "Ann Doe"),
        "subject": "Your order",
        "text": "Hello Ann\n",
        "html": "<p>Hello Ann</p>\n",
        "message_id": "0192f0c8-1111-7000-8000-000000000001.1",
        "notification_id": "0192f0c8-1111-7000-8000-000000000001",
        "date": datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
    } | changes
    return Mail(**values)  # type: ignore[arg-type]  # a builder takes any field


def parsed(mail: Mail) -> EmailMessage:
    message = message_from_bytes(compose(mail), policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    content = found.get_content()
    assert isinstance(content, str)
    return content


def as_sent(text: str) -> str:
    """Line ends are all that a mail does not keep apart."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=400) | st.lists(
    st.sampled_from(["\n", "\r\n", "\r", ".", " ", "\t", "=", "From ", "a" * 100, "é", "中文字", "--", "=_"]),
    max_size=60,
).map("".join)


@given(text=texts, html=texts)
def test_both_parts_are_read_back_as_they_were(text: str, html: str) -> None:
    message = parsed(a_mail(text=text, html=html))
    assert [p.get_content_type() for p in message.iter_parts()] == ["text/plain", "text/html"]
    for found, wanted in zip(message.iter_parts(), (text, html), strict=True):
        payload = found.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert as_sent(payload.decode()) == as_sent(wanted)


@given(text=texts, html=texts)
def test_lines_are_short_ascii_and_end_in_crlf(text: str, html: str) -> None:
    raw = compose(a_mail(text=text, html=html))
    assert raw.isascii()
    assert raw.endswith(b"\r\n")
    for line in raw.split(b"\r\n"):
        assert len(line) <= 78
        assert b"\n" not in line
        assert b"\r" not in line
        assert b"\0" not in line


def test_headers_say_who_when_and_what() -> None:
    message = parsed(a_mail())
    assert {name: str(message[name]) for name in message} == {
        "Date": "Sun, 01 Mar 2026 12:30:00 +0000",
        "From": "Carillon <no-reply@carillon.localhost>",
        "To": "Ann Doe <ann@example.com>",
        "Message-ID": "<0192f0c8-1111-7000-8000-000000000001.1@carillon.localhost>",
        "Subject": "Your order",
        "X-Carillon-Notification": "0192f0c8-1111-7000-8000-000000000001",
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
        "Content-Type": message["Content-Type"],
    }
    assert message.get_content_type() == "multipart/alternative"


def test_same_input_gives_the_same_bytes() -> None:
    assert compose(a_mail()) == compose(a_mail())


def test_text_that_imitates_the_boundary_stays_text() -> None:
    boundary = parsed(a_mail()).get_boundary()
    text = f"before\n--{boundary}\nContent-Type: text/html\n\n<b>smuggled</b>\n--{boundary}--\nafter\n"
    message = parsed(a_mail(text=text))
    assert len(list(message.iter_parts())) == 2
    assert as_sent(part(message, "plain")) == text


def test_mostly_ascii_text_stays_readable() -> None:
    assert b"D=C3=A9j=C3=A0 vu, once more, as it always is" in compose(
        a_mail(text="Déjà vu, once more, as it always is")
    )


def test_text_in_another_script_is_base64() -> None:
    message = parsed(a_mail(text="注文が発送されました" * 20))
    found = message.get_body(("plain",))
    assert found is not None
    assert found["Content-Transfer-Encoding"] == "base64"


@pytest.mark.parametrize("broken", ["a b", "a>\r\nBcc: x", "", "é"])
def test_identifier_unfit_for_a_header_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        compose(a_mail(message_id=broken))


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        compose(a_mail(text="\ud800"))
