"""Header fields: whatever goes in is read back as it went in, and nothing gets out of its field."""

import json
import os
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parseaddr
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_service.mime.address import Mailbox, parse_mailbox
from email_service.mime.header import has_control, mailbox_field, text_field

STRINGS = Path(__file__).parents[4] / "shared/conformance/data/strings/blns.json"

values = (
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
    .map(str.strip)
    .filter(lambda text: not has_control(text))
)
"""What a header may hold; a reader strips white space around a value."""

awkward = st.lists(
    st.sampled_from(
        ["=?", "?=", "=?utf-8?q?", "=0A", "_", " ", "  ", "é", "😀", "a" * 80, '"', "\\", ":", ","]
    ),
    max_size=40,
).map(lambda parts: "".join(parts).strip())


def read_back(field: bytes, name: str) -> str:
    message = message_from_bytes(field + b"X-Next: here\r\n\r\n", policy=policy.default)
    assert message["X-Next"] == "here"
    assert len(message.keys()) == 2
    return str(message[name])


def assert_lines_fit(field: bytes) -> None:
    assert field.endswith(b"\r\n")
    lines = field.removesuffix(b"\r\n").split(b"\r\n")
    for line in lines:
        assert b"\r" not in line
        assert b"\n" not in line
        assert len(line) <= (76 if b"=?utf-8?" in line else 78)
    for line in lines[1:]:
        assert line.startswith(b" ")
        assert line.strip()


@given(values | awkward)
def test_subject_is_read_back_as_it_was(value: str) -> None:
    field = text_field("Subject", value)
    assert field.isascii()
    assert_lines_fit(field)
    assert read_back(field, "Subject") == value


@given(values | awkward)
def test_display_name_is_read_back_as_it_was(name: str) -> None:
    field = mailbox_field("To", parse_mailbox("ann@example.com", name))
    assert_lines_fit(field)
    # The older reader of the standard library: the newer one puts a blank between two encoded-words of a
    # display name, which RFC 2047 section 6.2 forbids.
    message = message_from_bytes(field + b"\r\n", policy=policy.compat32)
    shown, address = parseaddr(message["To"].replace("\n", "").replace("\r", ""))
    assert (str(make_header(decode_header(shown))), address) == (name, "ann@example.com")


def test_line_break_hidden_in_an_encoded_word_stays_text() -> None:
    value = "A =?UTF-8?Q?=0A?=Bcc: x"
    assert read_back(text_field("Subject", value), "Subject") == value


@pytest.mark.parametrize(
    "control", ["\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\t"]
)
def test_control_character_is_refused(control: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        text_field("Subject", f"Hello{control}Bcc: x@example.com")
    with pytest.raises(ValueError, match="control character"):
        mailbox_field("To", Mailbox(local="a", domain="example.com", name=f"Ann{control}Bcc: x"))


def test_plain_subject_stays_readable_and_is_folded_at_its_spaces() -> None:
    subject = "Your order of many things has been shipped and will arrive on Monday, we hope, at your door"
    assert text_field("Subject", subject) == (
        b"Subject: Your order of many things has been shipped and will arrive on Monday,\r\n"
        b" we hope, at your door\r\n"
    )


def test_characters_are_never_split_between_encoded_words() -> None:
    field = text_field("Subject", "😀" * 60)
    for word in field.decode().strip().removeprefix("Subject: ").split("\r\n "):
        assert set(read_back(f"Subject: {word}\r\n".encode(), "Subject")) == {"😀"}


def test_name_with_a_comma_is_quoted() -> None:
    assert mailbox_field("To", parse_mailbox("a@example.com", 'Doe, "Ann"')) == (
        b'To: "Doe, \\"Ann\\"" <a@example.com>\r\n'
    )


def test_address_beyond_ascii_is_written_as_utf8() -> None:
    assert mailbox_field("To", parse_mailbox("jörg@example.com")) == "To: jörg@example.com\r\n".encode()


def test_naughty_strings_come_back_or_are_refused() -> None:
    if not STRINGS.exists():
        assert not os.environ.get("CI"), "the conformance material is missing"
        pytest.skip("../shared/conformance is not there")
    for naughty in json.loads(STRINGS.read_text()):
        value = naughty.strip()
        if has_control(value):
            with pytest.raises(ValueError, match="control"):
                text_field("Subject", value)
        else:
            assert read_back(text_field("Subject", value), "Subject") == value
