"""A mail taken apart for people to look at. Any bytes at all have to come through without an exception."""

import email
import email.policy
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage, Message
from email.utils import getaddresses, parsedate_to_datetime
from html import unescape

_SNIPPET_LENGTH = 250


@dataclass(frozen=True, kw_only=True)
class Mailbox:
    """A display name, possibly empty, and an address."""

    name: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a mail that is neither its text nor its HTML."""

    number: str
    file_name: str
    content_type: str
    content_id: str
    inline: bool
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ParsedMail:
    """What a mail program would show."""

    subject: str
    message_id: str
    sent_at: datetime | None
    sender: Mailbox | None
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    bcc: tuple[Mailbox, ...]
    reply_to: tuple[Mailbox, ...]
    return_path: str
    text: str
    html: str
    parts: tuple[Part, ...]
    headers: tuple[tuple[str, str], ...]

    @property
    def snippet(self) -> str:
        """The beginning of the text, on one line."""
        source = self.text or unescape(
            re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", self.html, flags=re.S)
        )
        return " ".join(source.split())[:_SNIPPET_LENGTH]


def parse(raw: bytes) -> ParsedMail:
    """Take a mail apart, leniently."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    headers = tuple(_headers(message))
    text, html, parts = _bodies(message)
    senders = _mailboxes(headers, "from")
    return ParsedMail(
        subject=_first(headers, "subject"),
        message_id=_first(headers, "message-id").strip().strip("<>"),
        sent_at=_date(_first(headers, "date")),
        sender=senders[0] if senders else None,
        to=_mailboxes(headers, "to"),
        cc=_mailboxes(headers, "cc"),
        bcc=_mailboxes(headers, "bcc"),
        reply_to=_mailboxes(headers, "reply-to"),
        return_path=_first(headers, "return-path").strip().strip("<>"),
        text=text,
        html=html,
        parts=parts,
        headers=headers,
    )


def _headers(message: Message) -> list[tuple[str, str]]:
    found = []
    for name, value in message.raw_items():
        try:
            decoded = str(message.policy.header_fetch_parse(name, value))
        except Exception:  # noqa: BLE001, RUF100 -- the standard library's parser trips over odd headers
            decoded = " ".join(str(value).split())
        # Bytes that are no UTF-8 come as surrogates, which JSON cannot carry.
        found.append((name, decoded.encode("utf-8", "surrogateescape").decode("utf-8", "replace")))
    return found


def _first(headers: Sequence[tuple[str, str]], name: str) -> str:
    return next((value for key, value in headers if key.lower() == name), "")


def _mailboxes(headers: Sequence[tuple[str, str]], name: str) -> tuple[Mailbox, ...]:
    found = []
    for key, value in headers:
        if key.lower() == name:
            for display, address in getaddresses([value]):
                found.append(Mailbox(name=display, address=address))
    return tuple(each for each in found if each.address or each.name)


def _date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None


def _bodies(message: EmailMessage) -> tuple[str, str, tuple[Part, ...]]:
    text = html = ""
    parts = []
    for number, part in enumerate(message.walk(), start=1):
        if part.is_multipart():
            continue
        content_type = part.get_content_type()
        disposition = part.get_content_disposition()
        if disposition != "attachment" and content_type == "text/plain" and not text:
            text = _decoded_text(part)
        elif disposition != "attachment" and content_type == "text/html" and not html:
            html = _decoded_text(part)
        else:
            content = _decoded_bytes(part)
            parts.append(
                Part(
                    number=str(number),
                    file_name=_safe_file_name(part),
                    content_type=content_type,
                    content_id=str(part.get("content-id", "")).strip("<> "),
                    inline=disposition == "inline",
                    size=len(content),
                    sha256=hashlib.sha256(content).hexdigest(),
                )
            )
    return text, html, tuple(parts)


def _decoded_bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _decoded_text(part: Message) -> str:
    charset = part.get_content_charset() or "utf-8"
    try:
        return _decoded_bytes(part).decode(charset, "replace")
    except LookupError:
        return _decoded_bytes(part).decode("utf-8", "replace")


def _safe_file_name(part: Message) -> str:
    try:
        name = part.get_filename() or ""
    except Exception:  # noqa: BLE001, RUF100 -- as above
        return ""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
