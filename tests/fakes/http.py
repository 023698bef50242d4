"""An HTTP/1.1 server over real TCP, small enough to misbehave at any point."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it came; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Response:
    """An answer."""

    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """Read the request and never answer."""


@dataclass(frozen=True)
class Reset:
    """Read the request and cut the connection."""


@dataclass(frozen=True)
class Garbage:
    """Answer with something that is not HTTP."""


Answer = Response | Hang | Reset | Garbage


class FakeHttpServer:
    """`async with FakeHttpServer(handler) as server:` listens on 127.0.0.1, at `server.url`.

    `deaf`: connections are accepted by the kernel, but nothing is read from them.
    """

    def __init__(self, handler: Callable[[Request], Awaitable[Answer]], *, deaf: bool = False) -> None:
        self.url = ""
        self.connections = 0
        self._handler = handler
        self._deaf = deaf
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self.drop_connections()
        await self._server.wait_closed()

    async def drop_connections(self) -> None:
        """Close every connection that stands."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        try:
            if self._deaf:
                await asyncio.Event().wait()
            while True:
                answer = await self._handler(await _read(reader))
                if not await _write(writer, answer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method=method, path=path, headers=headers, body=body)


async def _write(writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """True where the connection can go on."""
    match answer:
        case Hang():
            await asyncio.Event().wait()
        case Reset():
            writer.transport.abort()
            return False
        case Garbage():
            writer.write(b"this is not HTTP\r\n\r\n")
            await writer.drain()
            return False
        case Response():
            lines = [
                f"HTTP/1.1 {answer.status} Status",
                f"Content-Length: {len(answer.body)}",
                *(f"{name}: {value}" for name, value in answer.headers.items()),
            ]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body)
            await writer.drain()
    return True
