"""The server's side of HTTP/1.1 (RFC 9112) for an API of small JSON requests: kept connections, bodies with a
Content-Length."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from carillon.prove.witness.connection import Connection

_LONGEST_HEAD = 16 * 1024
_LARGEST_BODY = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Request:
    """The names of headers are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Response:
    """`body` is JSON, unless it is meant to be none."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpDialogue(Connection):
    """One connection; requests are answered in their order."""

    @abstractmethod
    async def respond(self, request: Request) -> Response | None:
        """None where the connection was dealt with already, and no answer goes out."""

    def begin(self) -> None:
        """Have room, or say nothing."""
        if self._connections.full:
            self.abort()

    def step(self) -> bool:
        """A request."""
        end = self.buffer.find(b"\r\n\r\n")
        if end > _LONGEST_HEAD or (end < 0 and len(self.buffer) > _LONGEST_HEAD):
            self._give_up(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if end < 0 or self._silent:
            return False
        first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        words = first.split(" ")
        refusal = _refusal(words, headers)
        if refusal is not None:
            self._give_up(refusal)
            return False
        length = int(headers.get("content-length", "0"))
        if len(self.buffer) < end + 4 + length:
            return False
        body = bytes(self.buffer[end + 4 : end + 4 + length])
        del self.buffer[: end + 4 + length]
        request = Request(method=words[0], path=words[1].partition("?")[0], headers=headers, body=body)
        self.work(partial(self._answer, request, kept=_is_kept(words[2], headers)))
        return True

    async def _answer(self, request: Request, *, kept: bool) -> None:
        response = await self.respond(request)
        if response is not None:
            self._respond(response, kept=kept)

    def _give_up(self, status: HTTPStatus) -> None:
        self._respond(Response(status=status, body=b"{}"), kept=False)

    def _respond(self, response: Response, *, kept: bool) -> None:
        lines = [
            f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
            "Content-Type: application/json; charset=UTF-8",
            f"Content-Length: {len(response.body)}",
            *(f"{name}: {value}" for name, value in response.headers.items()),
            *(() if kept else ("Connection: close",)),
        ]
        self.say("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + response.body)
        if not kept:
            self.end()


def _refusal(words: list[str], headers: Mapping[str, str]) -> HTTPStatus | None:
    length = headers.get("content-length", "0")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        return HTTPStatus.BAD_REQUEST
    if "transfer-encoding" in headers:
        return HTTPStatus.LENGTH_REQUIRED
    if not (length.isascii() and length.isdigit()):
        return HTTPStatus.BAD_REQUEST
    if len(length) > 9 or int(length) > _LARGEST_BODY:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return None


def _is_kept(version: str, headers: Mapping[str, str]) -> bool:
    return version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
