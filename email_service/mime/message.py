"""A whole mail as bytes: header, and a multipart/alternative body of text and HTML (RFC 2045, 2046, 5322).

Written here because it runs for every mail: it takes a fiftieth of the time of the standard library's
`EmailMessage`, and the same input gives the same bytes. Every line ends in CRLF and, but for the header
lines of an SMTPUTF8 address, all of it is 7-bit ASCII; dot-stuffing is SMTP's own business.
"""

import re
from base64 import encodebytes
from binascii import b2a_qp
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from typing import Final

from email_service.mime.address import Mailbox
from email_service.mime.header import mailbox_field, text_field

_HIGH: Final = bytes(range(0x80, 0x100))
_ID: Final = re.compile(r"[A-Za-z0-9._=+-]{1,200}\Z")


@dataclass(frozen=True, kw_only=True)
class Mail:
    """What a mail is made of.

    `message_id` is the part of the Message-ID before the @, stable for notification, target and run;
    `date` is when it is sent, aware.
    """

    sender: Mailbox
    recipient: Mailbox
    subject: str
    text: str
    html: str
    message_id: str
    notification_id: str
    date: datetime


def compose(mail: Mail) -> bytes:
    """The mail's bytes. Raises ValueError where a header would hold a control character, or the text
    half of a surrogate pair."""
    if not _ID.match(mail.message_id) or not _ID.match(mail.notification_id):
        raise ValueError("The message's identifier is not fit for a header.")
    # `=_` occurs in neither quoted-printable nor base64, so no body line can look like the boundary.
    boundary = f"=_{sha256(mail.message_id.encode()).hexdigest()[:32]}".encode("ascii")
    return b"".join(
        (
            f"Date: {format_datetime(mail.date.astimezone(UTC))}\r\n".encode("ascii"),
            mailbox_field("From", mail.sender),
            mailbox_field("To", mail.recipient),
            f"Message-ID: <{mail.message_id}@{mail.sender.domain}>\r\n".encode("ascii"),
            text_field("Subject", mail.subject),
            f"X-Carillon-Notification: {mail.notification_id}\r\n".encode("ascii"),
            # RFC 3834: keeps out-of-office answers away.
            b"Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n",
            b'Content-Type: multipart/alternative;\r\n boundary="',
            boundary,
            b'"\r\n\r\n--',
            boundary,
            _part("text/plain", mail.text),
            b"\r\n--",
            boundary,
            _part("text/html", mail.html),
            b"\r\n--",
            boundary,
            b"--\r\n",
        )
    )


def _part(content_type: str, text: str) -> bytes:
    """The rest of the boundary's line, the part's header and its encoded body."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    octets = text.replace("\n", "\r\n").encode()
    high = len(octets) - len(octets.translate(None, _HIGH))
    # Quoted-printable stays readable; from about a sixth of non-ASCII on, base64 is shorter.
    if high * 6 <= len(octets):
        encoding, body = b"quoted-printable", b2a_qp(octets)
        if b"\n" not in octets:
            # b2a_qp takes its line ends from the text, and a bare line feed where it finds none.
            body = body.replace(b"\n", b"\r\n")
    else:
        encoding, body = b"base64", encodebytes(octets).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
    return b"".join(
        (
            f"\r\nContent-Type: {content_type}; charset=utf-8\r\n".encode("ascii"),
            b"Content-Transfer-Encoding: ",
            encoding,
            b"\r\n\r\n",
            body,
        )
    )
