"""How one service calls another over HTTP: service token, correlation id, time-outs, two kinds of error."""

import asyncio
import functools
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import httpx
import msgspec
import stamina

from shared.process.breaker import CircuitBreaker, Verdict
from shared.process.correlation import HEADER, correlation_id
from shared.process.service_tokens import ServiceTokens

CONNECT_TIMEOUT_S = 1.0
TOTAL_TIMEOUT_S = 3.0
PATIENCE_S = 0.4
"""How long, in seconds, a request waits for what it can do without: a service that hangs must not use up the
places of requests that could go on."""
FAILURES_TO_OPEN = 2
"""In a row, until the breaker of a service of ours opens. A call asks for many at once, and a time-out takes
its seconds: five of them, one after another, would hold everything up for a quarter of a minute."""
OPEN_FOR_S = 2.0
"""How long a service of our own is left alone, in seconds, once its breaker has opened. A killed one is back
in two to five, so that the minute a provider gets would outlast what it waits for."""
_MOST_URLS = 64
"""Remembered: those without an id in them are asked for all the time."""
_LOST_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout, httpx.RemoteProtocolError, httpx.ReadError)
# stamina's own line for every second try would fill the log of whoever has an absent peer; the call that
# fails in the end is told of by its caller.
stamina.instrumentation.set_on_retry_hooks(())
_twice = stamina.AsyncRetryingCaller(attempts=2, wait_initial=0.05, wait_max=0.1, wait_jitter=0.05).on(
    _LOST_CONNECTION
)
AnswerT = TypeVar("AnswerT")


@functools.lru_cache(8)
def _extensions(timeout_s: float) -> dict[str, dict[str, float | None]]:
    return {"timeout": httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S).as_dict()}


class PeerError(Exception):
    """The root of what calling another service can raise."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service


class PeerUnavailable(PeerError):
    """Not reachable, too slow, or answered 5xx or 429, or its circuit breaker is open: ask again later."""


class PeerRefused(PeerError):
    """Answered 4xx: the question is wrong. `answer` is a problem as a rule."""

    def __init__(self, service: str, answer: "PeerAnswer") -> None:
        super().__init__(service, f"answered {answer.status}")
        self.answer = answer


@dataclass(frozen=True, kw_only=True)
class PeerAnswer:
    """What a service answered, as it came."""

    status: int
    content: bytes
    content_type: str
    location: str | None = None


def peer_breaker(service: str) -> CircuitBreaker:
    """A circuit breaker for a service of our own."""
    return CircuitBreaker(service, fail_max=FAILURES_TO_OPEN, open_for_s=OPEN_FOR_S)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Of all clients of a process: each of its own would read all root certificates again, 16 ms and 1 MB."""
    return httpx.create_ssl_context(trust_env=False)


class Peer:
    """Another service, by its base URL. `service` is its name, and so the audience of the tokens.

    With a `breaker`, calls fail at once while it is open. Silence, lost connections and 5xx count against the
    service; any other answer counts for it, but for 429, which like a cancellation counts for nothing. Calls
    that count `for_themselves` alone fail at once, too, while the breaker is left open, but tell it nothing:
    what a single request makes a service do is no sign of how others fare.
    """

    def __init__(
        self,
        *,
        base_url: str,
        service: str,
        tokens: ServiceTokens,
        transport: httpx.AsyncBaseTransport | None = None,
        max_connections: int = 20,
        breaker: CircuitBreaker | None = None,
        for_themselves: bool = False,
    ) -> None:
        self.service = service
        self._tokens = tokens
        self._breaker = breaker
        self._for_themselves = for_themselves
        self._places = asyncio.Semaphore(max_connections)
        self._exchanges: set[asyncio.Task[httpx.Response]] = set()
        self._base = httpx.URL(base_url)
        self._url = functools.lru_cache(_MOST_URLS)(self._make_url)
        # The transport and not a client: what that adds for every call (redirects, cookies, authentication,
        # merging of URLs) is of no use between services, and half of a call's cost.
        self._http = transport or httpx.AsyncHTTPTransport(
            limits=httpx.Limits(
                max_connections=max_connections,
                max_keepalive_connections=max_connections,
                keepalive_expiry=30.0,
            ),
            trust_env=False,
            verify=tls_context(),
        )

    async def call(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        query: Mapping[str, str | int] | None = None,
        again: bool | None = None,
        timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> PeerAnswer:
        """Call once; a lost or refused connection is tried once more where `again` allows it (by default
        for GET, PUT and DELETE; set it for a POST that only reads). `timeout_s` bounds all of it.

        Returns 2xx and 3xx. Raises PeerUnavailable and PeerRefused.
        """
        if again is None:
            again = method in {"GET", "PUT", "DELETE"}
        request = self._request(method, path, content=content, query=query, timeout_s=timeout_s)
        answer = await self._guarded(request, again=again, timeout_s=timeout_s)
        if answer.status >= 500 or answer.status == 429:
            raise PeerUnavailable(self.service, f"answered {answer.status}")
        if answer.status >= 400:
            raise PeerRefused(self.service, answer)
        return answer

    async def ask(
        self,
        path: str,
        question: msgspec.Struct,
        answer: type[AnswerT],
        *,
        timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> AnswerT:
        """POST a question that only reads, and decode what comes. Raises PeerUnavailable (also for an
        answer that cannot be decoded) and PeerRefused."""
        content = msgspec.json.encode(question)
        raw = await self.call("POST", path, content=content, again=True, timeout_s=timeout_s)
        return self.decode(raw, answer)

    def decode(self, raw: PeerAnswer, answer: type[AnswerT]) -> AnswerT:
        """The answer as a struct. Raises PeerUnavailable where it is none: the peer is not what we think."""
        try:
            return msgspec.json.decode(raw.content, type=answer)
        except msgspec.DecodeError as error:
            raise PeerUnavailable(self.service, "answered what cannot be read") from error

    async def ping(self) -> None:
        """For readiness: raises PeerUnavailable where the service does not answer as one that is alive.

        It passes the breaker by, both ways: readiness tells how things are, and polling it closes nothing."""
        request = self._request("GET", "/health", timeout_s=TOTAL_TIMEOUT_S)
        answer = await self._answered(request, again=True, timeout_s=TOTAL_TIMEOUT_S)
        if answer.status >= 400:
            raise PeerUnavailable(self.service, f"answered {answer.status}")

    async def close(self) -> None:
        """Break off what is under way, and close kept connections."""
        for exchange in tuple(self._exchanges):
            exchange.cancel()
        await asyncio.gather(*self._exchanges, return_exceptions=True)
        await self._http.aclose()

    def _request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        query: Mapping[str, str | int] | None = None,
        timeout_s: float,
    ) -> httpx.Request:
        url = self._url(path)
        return httpx.Request(
            method,
            url.copy_merge_params(query) if query else url,
            content=content,
            headers=self._headers(content),
            extensions=_extensions(timeout_s),
        )

    async def _guarded(self, request: httpx.Request, *, again: bool, timeout_s: float) -> PeerAnswer:
        """The answer, whatever its status, if the breaker lets the call through."""
        if self._breaker is None:
            return await self._answered(request, again=again, timeout_s=timeout_s)
        if self._for_themselves:
            if self._breaker.wait_s() > 0:
                raise PeerUnavailable(self.service, "circuit open")
            return await self._answered(request, again=again, timeout_s=timeout_s)
        permit = self._breaker.admit()
        if permit is None:
            raise PeerUnavailable(self.service, "circuit open")
        verdict = Verdict.NOTHING
        try:
            answer = await self._answered(request, again=again, timeout_s=timeout_s)
            verdict = _verdict_of(answer.status)
        except PeerUnavailable:
            verdict = Verdict.FAILED
            raise
        finally:
            self._breaker.settle(permit, verdict)
        return answer

    async def _answered(self, request: httpx.Request, *, again: bool, timeout_s: float) -> PeerAnswer:
        """The answer, whatever its status. Raises PeerUnavailable where there is none."""
        send = functools.partial(self._send, request)
        try:
            async with asyncio.timeout(timeout_s):
                response = await (_twice(send) if again else send())
        except TimeoutError as error:
            raise PeerUnavailable(self.service, f"no answer within {timeout_s} s") from error
        except httpx.HTTPError as error:
            raise PeerUnavailable(self.service, type(error).__name__) from error
        return PeerAnswer(
            status=response.status_code,
            content=response.content,
            content_type=response.headers.get("Content-Type", ""),
            location=response.headers.get("Location"),
        )

    async def _send(self, request: httpx.Request) -> httpx.Response:
        # httpcore loses a connection for good where a request is cancelled while it waits for one or opens
        # it: after an outage under load none was left. So nothing waits in its pool, and an exchange that
        # nobody waits for any more goes on to its own time-out.
        await self._places.acquire()
        exchange = asyncio.create_task(self._exchange(request))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanged)
        return await asyncio.shield(exchange)

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        response = await self._http.handle_async_request(request)
        response.request = request
        try:
            await response.aread()
        finally:
            await response.aclose()
        return response

    def _exchanged(self, exchange: "asyncio.Task[httpx.Response]") -> None:
        self._exchanges.discard(exchange)
        self._places.release()
        if not exchange.cancelled():
            exchange.exception()  # nobody may be there to hear it

    def _make_url(self, path: str) -> httpx.URL:
        return self._base.copy_with(raw_path=self._base.raw_path.rstrip(b"/") + httpx.URL(path).raw_path)

    def _headers(self, content: bytes | None) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {self._tokens.issue(self.service)}",
            HEADER: correlation_id(),
        }
        if content is not None:
            headers["Content-Type"] = "application/json"
        return headers


def _verdict_of(status: int) -> Verdict:
    if status >= 500:
        return Verdict.FAILED
    return Verdict.ANSWERED if status == 429 else Verdict.WORKED
