"""Mail addresses: what is let through reaches SMTP and header unharmed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_service.mime.address import parse_mailbox, parse_sender


@pytest.mark.parametrize(
    ("given_address", "wire"),
    [
        ("ann@example.com", "ann@example.com"),
        ("ann.o'neil+tag@sub.example.co.uk", "ann.o'neil+tag@sub.example.co.uk"),
        ("Ann@Example.COM", "Ann@Example.COM"),
        ("a@localhost", "a@localhost"),
        ('"ann doe"@example.com', '"ann doe"@example.com'),
        ("a..b@docomo.example", '"a..b"@docomo.example'),
        (".a@example.com", '".a"@example.com'),
        ("ann@münchen.example", "ann@xn--mnchen-3ya.example"),
        ("ann@例え。テスト", "ann@xn--r8jz45g.xn--zckzah"),
        ("jörg@example.com", "jörg@example.com"),
        ("用户@例子.example", "用户@xn--fsqu00a.example"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
    ],
)
def test_valid_address_gets_its_wire_form(given_address: str, wire: str) -> None:
    assert parse_mailbox(given_address).address == wire


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ann",
        "@example.com",
        "ann@",
        "a b@example.com",
        "a@exa mple.com",
        "a@-example.com",
        "a@example..com",
        "a@example.com>",
        "<a@example.com",
        "a,b@example.com",
        "a@b@example.com",
        "a@example.com\r\nRCPT TO:<b@example.com",
        "a\n@example.com",
        "a\0@example.com",
        '"a\r\nb"@example.com',
        '"a"b"@example.com',
        "jörg\u2028@example.com",
        "a@ex\u202eample.com",
        "x" * 65 + "@example.com",
        "a@" + ".".join(["x" * 60] * 5),
        "\ud800@example.com",
    ],
)
def test_invalid_address_is_refused_without_being_repeated(address: str) -> None:
    with pytest.raises(ValueError, match="mail address") as refusal:
        parse_mailbox(address)
    assert len(address) < 3 or address not in str(refusal.value)


def test_only_a_local_part_beyond_ascii_needs_smtputf8() -> None:
    assert parse_mailbox("jörg@example.com").needs_smtputf8
    assert not parse_mailbox("ann@münchen.example").needs_smtputf8


@pytest.mark.parametrize(
    ("value", "name", "address"),
    [
        ("no-reply@example.com", None, "no-reply@example.com"),
        ("Carillon <no-reply@example.com>", "Carillon", "no-reply@example.com"),
        ('"Doe, \\"Ann\\"" <a@example.com>', 'Doe, "Ann"', "a@example.com"),
        ("Größe <a@example.com>", "Größe", "a@example.com"),
    ],
)
def test_configured_sender_is_read(value: str, name: str | None, address: str) -> None:
    sender = parse_sender(value)
    assert (sender.name, sender.address) == (name, address)


@pytest.mark.parametrize("value", ["Carillon <a@example.com", "Carillon", "Carillon <>", ""])
def test_broken_sender_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_sender(value)


@given(st.text(max_size=80))
def test_no_text_passes_that_could_break_out_of_a_command(text: str) -> None:
    try:
        wire = parse_mailbox(text).address
    except ValueError:
        return
    assert "\r" not in wire
    assert "\n" not in wire
    assert "\0" not in wire
    if not wire.startswith('"'):
        assert not set(wire) & set("<> ")
