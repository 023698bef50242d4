"""The public API as a sender uses it: an API key, and the same request again where there was no answer."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import httpx
import msgspec
from pydantic import JsonValue

CONNECTIONS = 32
_TIMEOUT_S = 30.0
_TRIES = 6
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""The gateway is on this machine. Shared: httpx would read all root certificates for each client."""
AnswerT = TypeVar("AnswerT")


class _FieldProblem(msgspec.Struct, frozen=True):
    field: str
    message: str


class _Problem(msgspec.Struct, frozen=True):
    title: str = ""
    detail: str | None = None
    errors: tuple[_FieldProblem, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back, and how long that took: of the try that was answered, in seconds."""

    status: int
    body: bytes
    took_s: float

    @property
    def is_success(self) -> bool:
        """Whether it was done as asked."""
        return 200 <= self.status < 300

    def require(self) -> None:
        """Raises Refused where it was not done."""
        if not self.is_success:
            raise Refused(self.status, self.complaint())

    def as_(self, kind: type[AnswerT]) -> AnswerT:
        """The body. Raises Refused where it was not done, and where the body is none of these."""
        self.require()
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.MsgspecError as error:
            raise Refused(self.status, f"the answer is not as documented: {error}") from error

    def complaint(self) -> str:
        """What is said to be wrong."""
        try:
            problem = msgspec.json.decode(self.body, type=_Problem)
        except msgspec.MsgspecError:
            return f"HTTP {self.status}"
        wrong = "; ".join(f"{each.field} {each.message}" for each in problem.errors)
        return wrong or problem.detail or problem.title or f"HTTP {self.status}"


class Refused(Exception):
    """The API has not done what it was asked to."""

    def __init__(self, status: int, complaint: str) -> None:
        super().__init__(complaint)
        self.status = status


class Api:
    """`url` with an API key, over at most 32 connections at a time.

    What is not answered, or answered with "not now", is asked again after `first_pause_s`, and then after
    twice as long each time.
    """

    def __init__(self, url: str, api_key: str, *, first_pause_s: float = 0.5) -> None:
        # A client for each connection: httpx's pool looks at every connection it has at each request, and
        # would take more time than the gateway. Waiting for one is no part of the latency.
        self._first_pause_s = first_pause_s
        self._free = asyncio.LifoQueue[httpx.AsyncClient]()
        self._clients = [_client(f"{url}/api/v1", api_key) for _ in range(CONNECTIONS)]
        for client in self._clients:
            self._free.put_nowait(client)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """Read."""
        return await self._ask("GET", path, query=query)

    async def post(self, path: str, body: Mapping[str, JsonValue] | None = None, *, key: str = "") -> Answer:
        """Create. With an idempotency `key` it is created once, however often it has to be asked."""
        return await self._ask("POST", path, body=body, key=key)

    async def put(self, path: str, body: Mapping[str, JsonValue]) -> Answer:
        """Replace."""
        return await self._ask("PUT", path, body=body)

    async def close(self) -> None:
        """Close connections."""
        for client in self._clients:
            await client.aclose()

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, JsonValue] | None = None,
        key: str = "",
    ) -> Answer:
        """Raises Refused where there is no answer at all."""
        headers = {"Idempotency-Key": key} if key else {}
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            headers["Content-Type"] = "application/json"
        pause_s = self._first_pause_s
        for left in reversed(range(_TRIES)):
            client = await self._free.get()
            begun = time.perf_counter()
            try:
                response = await client.request(
                    method, path.lstrip("/"), params=query, content=content, headers=headers
                )
            except httpx.TransportError as error:
                if not left:
                    raise Refused(0, f"no answer ({type(error).__name__})") from error
            else:
                if response.status_code not in _TRY_AGAIN or not left:
                    took_s = time.perf_counter() - begun
                    return Answer(status=response.status_code, body=response.content, took_s=took_s)
            finally:
                self._free.put_nowait(client)
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("the last try answers or raises")


def _client(url: str, api_key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url,
        headers={"Authorization": f"Bearer {api_key}"},
        timeout=_TIMEOUT_S,
        limits=httpx.Limits(max_connections=1),
        trust_env=False,
        verify=_NO_TLS,
    )
