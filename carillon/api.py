"""The public API as its users ask it, and the same request again where there was no answer."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import httpx
import msgspec
from pydantic import JsonValue

from carillon.api_answers import Answer, InDoubt, Refused

CONNECTIONS, TRIES = 32, 6
_TIMEOUT_S = 30.0
_LONGEST_PAUSE_S = 20.0
_NOT_NOW, _LOGIN_OVER = 429, 401
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_PERHAPS_DONE = frozenset({502, 503, 504})
_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout)
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For http, and a gateway on this machine. Shared: httpx would read all root certificates for each client."""


class Bearer(Protocol):
    """Who asks."""

    @property
    def token(self) -> str:
        """For the header; empty for somebody who has none."""

    async def renew(self, used: str) -> bool:
        """The gateway takes `used` no longer; whether there is another one now. Raises Refused."""


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: bytes | None = None
    media: str = _JSON
    key: str = ""
    once: bool = False

    @property
    def headers(self) -> dict[str, str]:
        media = {} if self.body is None else {"Content-Type": self.media}
        return media | ({"Idempotency-Key": self.key} if self.key else {})

    def may_be_repeated(self, answer: Answer) -> bool:
        if answer.retry_after_s > _LONGEST_PAUSE_S:
            return False
        return answer.status == _NOT_NOW or (answer.status in _PERHAPS_DONE and not self.once)


class _ApiKey:
    def __init__(self, token: str) -> None:
        self.token = token

    async def renew(self, used: str) -> bool:  # noqa: ARG002 -- there is no other one
        return False


class Api:
    """`url` for a `bearer`, which is an API key where it is text, over at most so many connections at a time.

    What is not answered, or answered with "not now", is asked again after `first_pause_s` or as long as the
    gateway asks for, and then after twice as long each time.
    """

    def __init__(
        self,
        url: str,
        bearer: str | Bearer,
        *,
        first_pause_s: float = 0.5,
        tries: int = TRIES,
        connections: int = CONNECTIONS,
        elsewhere: bool = False,
    ) -> None:
        """`elsewhere`: not on this machine, so that proxies of the environment and certificates count."""
        # A client for each connection: httpx's pool looks at every connection it has at each request, and
        # would take more time than the gateway. Waiting for one is no part of the latency.
        self.url = url
        self._bearer = _ApiKey(bearer) if isinstance(bearer, str) else bearer
        self._first_pause_s = first_pause_s
        self._tries = tries
        self._trust_env = elsewhere
        certified = elsewhere and url.startswith("https:")
        self._tls = ssl.create_default_context() if certified else _NO_TLS
        self._free = asyncio.LifoQueue[httpx.AsyncClient]()
        self._clients = [self._client() for _ in range(connections)]
        for client in self._clients:
            self._free.put_nowait(client)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """Read."""
        return await self._ask(_Request("GET", path, query=query))

    async def post(self, path: str, body: Mapping[str, JsonValue] | None = None, *, key: str = "") -> Answer:
        """Create. With an idempotency `key` it is created once, however often it has to be asked."""
        return await self._ask(_Request("POST", path, body=_json(body), key=key))

    async def act(self, path: str, body: Mapping[str, JsonValue] | None = None) -> Answer:
        """Do something that is not to be done twice: asked again only where it was certainly not done.

        Raises InDoubt where there is no answer, or none that tells.
        """
        async with self._client() as client:  # a kept connection may just be closing, which tells nothing
            answer = await self._ask(_Request("POST", path, body=_json(body), once=True), client)
        if answer.status >= 500:
            raise answer.doubt()
        return answer

    async def put(self, path: str, body: Mapping[str, JsonValue]) -> Answer:
        """Replace."""
        return await self._ask(_Request("PUT", path, body=_json(body)))

    async def submit(self, path: str, form: Mapping[str, str]) -> Answer:
        """Send a form."""
        content = str(httpx.QueryParams(dict(form))).encode()
        return await self._ask(_Request("POST", path, body=content, media=_FORM))

    async def close(self) -> None:
        """Close connections."""
        for client in self._clients:
            await client.aclose()

    async def _ask(self, request: _Request, client: httpx.AsyncClient | None = None) -> Answer:
        """Raises Refused where there is no answer at all."""
        pause_s = self._first_pause_s
        for left in reversed(range(self._tries)):
            used = self._bearer.token
            answer: Answer | None = None
            try:
                answer = await self._try(request, used, client)
            except httpx.RequestError as error:
                complaint = f"no answer ({type(error).__name__})"
                if request.once and not isinstance(error, _NOTHING_SENT):
                    raise InDoubt(0, complaint) from error
                if not left:
                    raise Refused(0, complaint) from error
            if answer is not None:
                if answer.status == _LOGIN_OVER and left and await self._bearer.renew(used):
                    continue
                if not left or not request.may_be_repeated(answer):
                    return answer
                pause_s = max(pause_s, answer.retry_after_s)
            await asyncio.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("the last try answers or raises")

    async def _try(self, request: _Request, token: str, given: httpx.AsyncClient | None) -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        client = given or await self._free.get()
        begun = time.perf_counter()
        try:
            response = await client.request(
                request.method,
                request.path.lstrip("/"),
                params=request.query,
                content=request.body,
                headers=headers | request.headers,
            )
        finally:
            if given is None:
                self._free.put_nowait(client)
        return Answer(
            status=response.status_code,
            body=response.content,
            took_s=time.perf_counter() - begun,
            retry_after_s=_seconds(response.headers.get("Retry-After")),
            correlation_id=response.headers.get("X-Correlation-ID"),
        )

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"{self.url}/api/v1",
            timeout=_TIMEOUT_S,
            limits=httpx.Limits(max_connections=1),
            trust_env=self._trust_env,
            verify=self._tls,
        )


def _json(body: Mapping[str, JsonValue] | None) -> bytes | None:
    return None if body is None else msgspec.json.encode(body)


def _seconds(retry_after: str | None) -> float:
    """Retry-After in seconds; the date that it may be as well is not what a gateway of ours says."""
    return float(retry_after) if retry_after is not None and retry_after.isdigit() else 0.0
