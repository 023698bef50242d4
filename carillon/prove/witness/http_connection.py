"""As much of HTTP/1.1 as a client in a hurry needs, on kept connections (RFC 9112)."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

_HEAD_END = b"\r\n\r\n"
_MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer; the names of `headers` in small letters."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    """No whole answer. `refused`: there was no connection, and so nothing was sent; after the others nobody
    knows what has come to the server."""

    why: Literal["reset", "timeout", "refused"]


Heard = HttpAnswer | Silence


def post_bytes(*, host: str, path: str, authorization: str, key: str, body: bytes) -> bytes:
    """A POST of JSON with an idempotency key."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


class HttpConnection:
    """One request at a time; connects when first asked, and again after the server has closed."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._line: _Line | None = None

    async def ask(self, request: bytes, *, within_s: float) -> Heard:
        """Send it, once, and wait for the answer; connecting is part of the `within_s` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        if self._line is None or not self._line.is_open:
            try:
                async with asyncio.timeout_at(deadline):
                    _, self._line = await loop.create_connection(_Line, self._host, self._port)
            except (OSError, TimeoutError):
                self._line = None
                return Silence("refused")
        line = self._line
        timer = loop.call_at(deadline, line.give_up)
        try:
            return await line.ask(request)
        finally:
            timer.cancel()

    def close(self) -> None:
        """Drop it."""
        if self._line is not None:
            self._line.drop("reset")


class _Line(asyncio.Protocol):
    """One TCP connection. An object of its own: the end of an old one is told after the next is open."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: asyncio.Future[Heard] | None = None

    def ask(self, request: bytes) -> asyncio.Future[Heard]:
        assert self._transport is not None  # noqa: S101 -- create_connection returns after connection_made
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def give_up(self) -> None:
        self.drop("timeout")

    def drop(self, why: Literal["reset", "timeout"]) -> None:
        """What comes from now on belongs to nobody, so the connection cannot be used again."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()
        self._tell(Silence(why))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports derive from none of asyncio's.
        self._transport, self.is_open = cast(asyncio.Transport, transport), True

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._waiting is None or self._waiting.done() or len(self._buffer) > _MOST_BYTES:
            self.drop("reset")
            return
        try:
            answer = read_answer(self._buffer)
        except ValueError:
            self.drop("reset")
            return
        if answer is not None:
            self._buffer.clear()
            if answer.headers.get(b"connection", b"").lower() == b"close" and self._transport is not None:
                self.is_open = False
                self._transport.close()
            self._tell(answer)

    def connection_lost(self, _reason: Exception | None) -> None:
        self.is_open = False
        self._tell(Silence("reset"))

    def _tell(self, heard: Heard) -> None:
        if self._waiting is not None:
            with contextlib.suppress(asyncio.InvalidStateError):
                self._waiting.set_result(heard)


def read_answer(data: bytes | bytearray) -> HttpAnswer | None:
    """None while it is not whole. Raises ValueError where it is no answer, or one without its length: all
    answers of JSON APIs and of proxies have it."""
    head_end = data.find(_HEAD_END)
    if head_end < 0:
        return None
    status_line, *lines = bytes(data[:head_end]).split(b"\r\n")
    if not status_line.startswith(b"HTTP/1."):
        raise ValueError("not HTTP/1")
    headers = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    if b"content-length" not in headers:
        raise ValueError("an answer without Content-Length")
    start = head_end + len(_HEAD_END)
    end = start + int(headers[b"content-length"])
    if len(data) < end:
        return None
    if len(data) > end:
        raise ValueError("more than was asked for")
    return HttpAnswer(int(status_line[9:12]), headers, bytes(data[start:end]))
