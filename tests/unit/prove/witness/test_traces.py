"""Knowing a message again, however it is encoded."""

from base64 import encodebytes
from email.header import Header
from email.message import EmailMessage
from quopri import encodestring

import msgspec
import pytest

from carillon.prove.witness.traces import mark_of_json, mark_of_mail, message_id_of

MARK = "abcdefgh0123456789"
TEXT = f"Hello\n\nproof-mark:{MARK}\n\nBye\n".encode()
HEAD = b"From: a@example.com\r\nMessage-Id:\r\n <1.2@example.com>\r\nSubject: "


def a_mail(text: bytes = b"Hi\n", *, subject: bytes = b"Hi", encoding: bytes = b"7bit") -> bytes:
    kind = b"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return HEAD + subject + kind + b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + text


def a_long_line_in_quoted_printable() -> bytes:
    return encodestring(b"x" * 55 + f"proof-mark:{MARK} ".encode() + b"x" * 60)


@pytest.mark.parametrize(
    "mail",
    [
        a_mail(TEXT),
        a_mail(encodebytes(TEXT), encoding=b"base64"),
        a_mail(a_long_line_in_quoted_printable(), encoding=b"quoted-printable"),
        a_mail(subject=f"proof-mark:{MARK}".encode()),
        a_mail(
            subject=Header(f"Grüße, proof-mark:{MARK} und viel mehr als eine Zeile", "utf-8")
            .encode()
            .encode()
        ),
        a_mail(subject=f"=?utf-8?q?proof-mark:{MARK[:10]}?=\r\n =?utf-8?q?{MARK[10:]}?=".encode()),
    ],
    ids=["plain", "base64", "quoted-printable", "subject", "encoded subject", "subject in two words"],
)
def test_the_mark_of_a_mail_is_found_whatever_its_encoding(mail: bytes) -> None:
    assert mark_of_mail(mail) == MARK


def test_quoted_printable_that_cuts_the_mark_does_not_shorten_it() -> None:
    text = a_long_line_in_quoted_printable()
    assert f"proof-mark:{MARK}".encode() not in text
    assert mark_of_mail(a_mail(text, encoding=b"quoted-printable")) == MARK


def test_the_mark_is_found_in_a_part_of_many() -> None:
    message = EmailMessage()
    message["Subject"] = "Hi"
    message.set_content("Grüße")
    message.add_alternative(f"<p>Grüße, proof-mark:{MARK}</p>", subtype="html", cte="base64")
    assert mark_of_mail(message.as_bytes()) == MARK


@pytest.mark.parametrize(
    "mail",
    [
        b"",
        a_mail(),
        a_mail(b"proof-mark:short"),
        a_mail(b"proof-mark:" + b"a" * 41),
        a_mail(subject=b"=?no-such-charset?q?x?="),
        a_mail(b"\xff\x00 no base64", encoding=b"base64"),
    ],
)
def test_a_mail_without_a_mark_has_none(mail: bytes) -> None:
    assert mark_of_mail(mail) == ""


@pytest.mark.parametrize("escaped", [f"proof-mark:{MARK}", f"proof\\u002dmark:\\u0061{MARK[1:]}"])
def test_the_mark_of_a_push_is_found_in_any_text(escaped: str) -> None:
    message = f'{{"token":"t","notification":{{"title":"Hi","body":"x {escaped}."}}}}'
    assert mark_of_json(msgspec.Raw(message.encode())) == MARK


def test_a_push_without_a_mark_has_none() -> None:
    assert mark_of_json(msgspec.Raw(b'{"token":"proof-mark"}')) == ""


def test_the_message_id_is_the_headers_not_a_texts() -> None:
    assert message_id_of(a_mail(b"Message-ID: <9@x>\r\n")) == "1.2@example.com"
    assert message_id_of(b"Subject: x\r\n\r\nMessage-ID: <9@x>\r\n") == ""
