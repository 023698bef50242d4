"""Header fields as bytes: folded, encoded, and closed against injection (RFC 5322 2.2, RFC 2047, RFC 6532).

A value is written as it stands only where it is plain ASCII that no reader could take for an
encoded-word; everything else goes into encoded-words as a whole. So a value that holds
`=?UTF-8?Q?=0A?=` is read back as exactly these characters: it never becomes the line break that some
libraries let through.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Final, TypeVar

from email_service.mime.address import Mailbox

# C0, DEL and C1 controls, and Unicode's line and paragraph separators, which some readers break lines at.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FOLD: Final = re.compile(r" +[^ ]+")
_PHRASE_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
# RFC 2047 section 5 (3): the characters that need no encoding even within a display name.
_Q_SAFE: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/")
_Q: Final = tuple(chr(b) if b in _Q_SAFE else "_" if b == 0x20 else f"={b:02X}" for b in range(256))

_LINE: Final = 78
_ENCODED_LINE: Final = 76
_WORD: Final = 75
_WORD_FRAME: Final = len("=?utf-8?q??=")

_Part = TypeVar("_Part", str, bytes)


def has_control(value: str) -> bool:
    """Whether a value holds a line break or another control character, which no header may."""
    return _CONTROL.search(value) is not None


def text_field(name: str, value: str) -> bytes:
    """An unstructured field (`Subject`), folded, with its CRLF. Raises ValueError for control characters."""
    _refuse_control(name, value)
    if _is_plain(value):
        line = f"{name}: {value}"
        if len(line) <= _LINE:
            return f"{line}\r\n".encode("ascii")
        folded = _folded(name, value)
        if folded is not None:
            return f"{folded}\r\n".encode("ascii")
    return f"{name}: {_encoded(value, used=len(name) + 2)[0]}\r\n".encode("ascii")


def mailbox_field(name: str, mailbox: Mailbox) -> bytes:
    """An address field (`From`, `To`), folded, with its CRLF. UTF-8 where the address needs SMTPUTF8.

    Raises ValueError for control characters in the display name.
    """
    address = f"<{mailbox.address}>"
    shown = (mailbox.name or "").strip()
    if not shown:
        return f"{name}: {mailbox.address}\r\n".encode()
    _refuse_control(name, shown)
    phrase = _plain_phrase(shown, room=_LINE - len(name) - 2)
    if phrase is None:
        phrase, used = _encoded(shown, used=len(name) + 2)
        limit = _ENCODED_LINE
    else:
        used, limit = len(name) + 2 + len(phrase), _LINE
    separator = " " if used + 1 + len(address) <= limit else "\r\n "
    return f"{name}: {phrase}{separator}{address}\r\n".encode()


def _refuse_control(name: str, value: str) -> None:
    if has_control(value):
        raise ValueError(f"{name} holds a line break or another control character.")


def _is_plain(value: str) -> bool:
    return value.isascii() and "=?" not in value and value == value.strip(" ")


def _plain_phrase(shown: str, *, room: int) -> str | None:
    """A display name without encoded-words, or None where it needs them."""
    if not _is_plain(shown):
        return None
    if _PHRASE_ATOMS.match(shown):
        phrase = shown
    else:
        escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
        phrase = f'"{escaped}"'
    return phrase if len(phrase) <= room else None


def _folded(name: str, value: str) -> str | None:
    """The field folded at its own spaces, or None where a word is too long for a line."""
    first, rest = value.partition(" ")[0], value[len(value.partition(" ")[0]) :]
    lines = [f"{name}: {first}"]
    for word in _FOLD.findall(rest):
        if len(lines[-1]) + len(word) <= _LINE:
            lines[-1] += word
        else:
            lines.append(word)
    return "\r\n".join(lines) if max(map(len, lines)) <= _LINE else None


def _encoded(value: str, *, used: int) -> tuple[str, int]:
    """The value as encoded-words, split between characters, and the length of the last line.

    `used`: how much of the first line the field's name takes.
    """
    first = _ENCODED_LINE - _WORD_FRAME - used
    room = _WORD - _WORD_FRAME
    octets = value.encode()
    if sum([len(_Q[b]) for b in octets]) <= len(octets) * 4 / 3 + 4:
        quoted = ["".join([_Q[b] for b in c.encode()]) for c in value]
        words = ["=?utf-8?q?" + "".join(part) + "?=" for part in _split(quoted, first=first, room=room)]
    else:
        chunks = _split([c.encode() for c in value], first=first // 4 * 3, room=room // 4 * 3)
        words = ["=?utf-8?b?" + b64encode(b"".join(part)).decode("ascii") + "?=" for part in chunks]
    last = len(words[-1]) + (used if len(words) == 1 else 1)
    return "\r\n ".join(words), last


def _split(parts: Sequence[_Part], *, first: int, room: int) -> list[list[_Part]]:
    """Parts in groups whose lengths add up to no more than `first`, then `room`."""
    groups: list[list[_Part]] = [[]]
    left = first
    for part in parts:
        if len(part) > left:
            groups.append([])
            left = room
        groups[-1].append(part)
        left -= len(part)
    return groups
