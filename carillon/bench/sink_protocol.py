"""The sink's side of SMTP (RFC 5321): takes every mail, and notes when which Message-ID came.

Commands may come pipelined (RFC 2920). The mail itself is thrown away.
"""

import asyncio
import time
from collections.abc import Callable
from typing import cast

Taken = Callable[[int, bytes], None]
"""Called with the time (`time.monotonic_ns()`, when the last byte was here) and the Message-ID without its
angle brackets, empty where there is none, before the sender is told."""

_GREETING = b"220 sink ESMTP\r\n"
_EXTENSIONS = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n"
_END = b"\r\n.\r\n"
_LONGEST_COMMAND = 2048
_ANSWERS = {
    b"HELO": b"250 sink\r\n",
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"RSET": b"250 2.0.0 Ok\r\n",
    b"NOOP": b"250 2.0.0 Ok\r\n",
    b"VRFY": b"252 2.0.0 Perhaps\r\n",
}


class SmtpSinkProtocol(asyncio.Protocol):
    """One connection."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._in_mail = False
        self._recipients = 0
        self._searched = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        # uvloop's transports derive from none of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        """Work off what is complete; one write answers all of it."""
        self._buffer += data
        answers: list[bytes] = []
        while self._take_mail(answers) if self._in_mail else self._take_command(answers):
            pass
        if self._transport is not None:
            if answers:
                self._transport.write(b"".join(answers))
            if not self._in_mail and len(self._buffer) > _LONGEST_COMMAND:
                self._transport.close()

    def _take_command(self, answers: list[bytes]) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0 or self._transport is None or self._transport.is_closing():
            return False
        verb = bytes(self._buffer[: min(end, 4)]).upper()
        del self._buffer[: end + 2]
        if verb == b"DATA":
            self._in_mail = self._recipients > 0
            self._searched = 0
            answers.append(b"354 Go ahead\r\n" if self._in_mail else b"503 5.5.1 No recipient\r\n")
            if self._in_mail:
                # So that a mail that is a lone dot ends, too, where its line begins.
                self._buffer[:0] = b"\r\n"
        elif verb == b"QUIT":
            answers.append(b"221 2.0.0 Bye\r\n")
            self._transport.write(b"".join(answers))
            answers.clear()
            self._transport.close()
            self._transport = None
        elif verb == b"EHLO":
            self._recipients = 0
            answers.append(_EXTENSIONS)
        else:
            self._recipients = self._recipients + 1 if verb == b"RCPT" else self._recipients
            if verb in (b"MAIL", b"RSET", b"HELO"):
                self._recipients = 0
            answers.append(_ANSWERS.get(verb, b"502 5.5.2 Unknown\r\n"))
        return True

    def _take_mail(self, answers: list[bytes]) -> bool:
        # A line of the text that begins with a dot comes with two (section 4.5.2), so this is the end.
        end = self._buffer.find(_END, self._searched)
        if end < 0:
            self._searched = max(0, len(self._buffer) - len(_END) + 1)
            return False
        self._taken(time.monotonic_ns(), message_id_of(self._buffer))
        del self._buffer[: end + len(_END)]
        self._in_mail = False
        self._recipients = 0
        answers.append(b"250 2.0.0 Ok\r\n")
        return True


def message_id_of(mail: bytes | bytearray) -> bytes:
    """What stands between the angle brackets of the header `Message-ID`, empty where there is none. `mail`
    begins with an empty line (the one before the text), or with its first header."""
    start = 2 if mail.startswith(b"\r\n") else 0
    end = mail.find(b"\r\n\r\n", start)
    head = b"\r\n" + bytes(mail[start : end if end >= 0 else len(mail)])
    found = head.lower().find(b"\r\nmessage-id:")
    opening = head.find(b"<", found)
    closing = head.find(b">", opening)
    if found < 0 or opening < 0 or closing < 0:
        return b""
    return head[opening + 1 : closing]
