"""The least of HTTP/1.1 that a load generator needs, on a kept connection (RFC 9112)."""

import asyncio
from dataclasses import dataclass
from typing import cast

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


@dataclass(frozen=True, slots=True)
class Reply:
    """`status` is 0 where there was no answer."""

    status: int
    body: bytes


_NO_REPLY = Reply(0, b"")


def request_bytes(*, path: str, authorization: str, idempotency_key: bytes, body: bytes) -> bytes:
    """A POST of JSON."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n".encode("ascii")
        + b"Content-Type: application/json\r\nIdempotency-Key: "
        + idempotency_key
        + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
    )


class HttpConnection(asyncio.Protocol):
    """One connection, one request at a time; opened again where the server has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._reply: asyncio.Future[Reply] | None = None

    async def open(self) -> None:
        """Raises OSError."""
        await asyncio.get_running_loop().create_connection(lambda: self, self._host, self._port)

    def close(self) -> None:
        """Drop it."""
        if self._transport is not None:
            self._transport.close()

    async def ask(self, request: bytes, *, within_s: float) -> Reply:
        """Send one request, and wait for its whole answer."""
        if self._transport is None:
            try:
                await self.open()
            except OSError:
                return _NO_REPLY
        assert self._transport is not None  # noqa: S101 -- connection_made has set it
        self._reply = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(within_s, self._transport.close)
        self._transport.write(request)
        try:
            return await self._reply
        finally:
            timer.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin anew."""
        # uvloop's transports derive from none of asyncio's.
        self._transport, self._buffer = cast(asyncio.Transport, transport), b""

    def data_received(self, data: bytes) -> None:
        """Answer whoever waits, once the answer is whole."""
        self._buffer = self._buffer + data if self._buffer else data
        reply = parse_reply(self._buffer)
        if reply is not None and self._reply is not None and not self._reply.done():
            self._buffer = b""
            self._reply.set_result(reply)

    def connection_lost(self, _reason: Exception | None) -> None:
        """Whoever waits gets no answer."""
        self._transport = None
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(_NO_REPLY)


def parse_reply(data: bytes) -> Reply | None:
    """None while it is not whole. Answers come with their length here; raises ValueError for one without."""
    head_end = data.find(_HEAD_END)
    if head_end < 0:
        return None
    head = data[: head_end + 2].lower()
    found = head.find(_LENGTH)
    if found < 0:
        raise ValueError("an answer without Content-Length")
    start = found + len(_LENGTH)
    length = int(head[start : head.index(b"\r\n", start)])
    body = data[head_end + len(_HEAD_END) :]
    return Reply(int(data[9:12]), body) if len(body) >= length else None
