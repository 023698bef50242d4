"""What in a message tells which one it is: the client's mark, and the mail's own Message-ID."""

import re
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32

import msgspec

_MARK = re.compile(rb"proof-mark:([a-z0-9]{8,40})(?![a-z0-9])")
_MESSAGE_ID = re.compile(rb"^message-id:\s*<([^<>\r\n]+)>", re.IGNORECASE | re.MULTILINE)


def mark_of_mail(mail: bytes) -> str:
    """From the subject or a text, whatever their transfer encoding; empty where there is none."""
    # Parsing takes some hundred times as long, and is needed only where the mark itself came encoded: after a
    # `=` the rest of a word may stand on the next line (quoted-printable), as after `?=` (RFC 2047).
    for found in _MARK.finditer(mail):
        if mail[found.end() : found.end() + 1] not in (b"=", b"?"):
            return found.group(1).decode()
    parsed = BytesParser(policy=compat32).parsebytes(mail)
    texts = [_subject(parsed), *(_text(part) for part in parsed.walk() if not part.is_multipart())]
    found_in = (_MARK.search(text) for text in texts)
    return next((each.group(1).decode() for each in found_in if each is not None), "")


def mark_of_json(message: msgspec.Raw) -> str:
    """From any text of a JSON value; empty where there is none. Raises what msgspec raises for no JSON."""
    # Encoded anew, so that a letter escaped as \\u0061 is found too.
    found = _MARK.search(msgspec.json.encode(msgspec.json.decode(message)))
    return "" if found is None else found.group(1).decode()


def message_id_of(mail: bytes) -> str:
    """What stands between the angle brackets of the header `Message-ID`; empty where there is none."""
    head, _, _ = mail.partition(b"\r\n\r\n")
    found = _MESSAGE_ID.search(head)
    return "" if found is None else found.group(1).decode("utf-8", "replace")


def _subject(mail: "Message[str, str]") -> bytes:
    raw = str(mail.get("Subject", ""))
    try:
        return str(make_header(decode_header(raw))).encode("utf-8", "replace")
    except (ValueError, LookupError):
        return raw.encode("utf-8", "replace")


def _text(part: "Message[str, str]") -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
