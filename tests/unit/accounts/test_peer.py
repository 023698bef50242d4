"""Calls between services: named, traced, bounded in time, and repeated only where that is harmless."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx
import pytest

from shared.clients.peer import (
    FAILURES_TO_OPEN,
    Peer,
    PeerError,
    PeerRefused,
    PeerUnavailable,
    peer_breaker,
)
from shared.contracts.recipients import RecipientAnswer, RecipientQuestion
from shared.process.breaker import CircuitBreaker
from shared.process.correlation import correlation_scope
from shared.process.service_tokens import ServiceTokens

TOKENS = ServiceTokens("a service secret for tests, of 32 bytes and more", "gateway")
Answer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


def peer_that(answer: Answer, breaker: CircuitBreaker | None = None) -> Peer:
    """A user service that answers as told."""
    return Peer(
        base_url="http://user_service",
        service="user_service",
        tokens=TOKENS,
        transport=httpx.MockTransport(answer),  # type: ignore[arg-type] # takes both kinds of function
        breaker=breaker,
    )


async def test_call_carries_a_token_for_the_peer_and_the_correlation_id() -> None:
    seen: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(200)

    with correlation_scope("abc-1"):
        await peer_that(answer).call("POST", "/x", content=b"{}")
    assert seen[0]["X-Correlation-ID"] == "abc-1"
    assert seen[0]["Content-Type"] == "application/json"
    token = seen[0]["Authorization"].removeprefix("Bearer ")
    assert TOKENS.verify(token, audience="user_service") == "gateway"


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_peer_in_trouble_is_unavailable(status: int) -> None:
    with pytest.raises(PeerUnavailable):
        await peer_that(lambda _: httpx.Response(status)).call("GET", "/x")


async def test_refusal_keeps_the_answer() -> None:
    with pytest.raises(PeerRefused) as refused:
        await peer_that(lambda _: httpx.Response(404, content=b"{}")).call("GET", "/x")
    assert refused.value.answer.status == 404
    assert refused.value.answer.content == b"{}"


@pytest.mark.parametrize(
    ("method", "calls"), [("GET", 2), ("PUT", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1)]
)
async def test_lost_connection_is_tried_once_more_where_that_is_harmless(method: str, calls: int) -> None:
    called = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal called
        called += 1
        raise httpx.ConnectError("refused")

    with pytest.raises(PeerUnavailable):
        await peer_that(answer).call(method, "/x")
    assert called == calls


async def test_second_try_answers() -> None:
    lost = [True, False]

    def answer(request: httpx.Request) -> httpx.Response:
        if lost.pop(0):
            raise httpx.RemoteProtocolError("disconnected")
        return httpx.Response(200, content=b"{}")

    peer = peer_that(answer)
    assert await peer.ask("/x", RecipientQuestion(), RecipientAnswer) == RecipientAnswer()


async def test_silent_peer_costs_no_more_than_the_time_allowed() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        return httpx.Response(200)

    async with asyncio.timeout(2):
        with pytest.raises(PeerUnavailable):
            await peer_that(answer).call("GET", "/x", timeout_s=0.05)


async def test_answer_that_cannot_be_read_is_no_answer() -> None:
    peer = peer_that(lambda _: httpx.Response(200, content=b"<html>"))
    with pytest.raises(PeerUnavailable):
        await peer.ask("/x", RecipientQuestion(), RecipientAnswer)


@pytest.mark.parametrize("status", [404, 503])
async def test_ping_asks_for_health_and_takes_no_other_answer(status: int) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200 if len(asked) == 1 else status)

    peer = peer_that(answer)
    await peer.ping()
    assert asked == ["/health"]
    with pytest.raises(PeerUnavailable):
        await peer.ping()


@pytest.mark.parametrize(
    ("answer", "opens"),
    [
        (200, False),
        (302, False),
        (400, False),
        (401, False),
        (404, False),
        (422, False),
        (429, False),
        (500, True),
        (503, True),
        (httpx.ConnectError("refused"), True),
        (httpx.ConnectTimeout("silent"), True),
        (httpx.ReadError("reset"), True),
        (httpx.RemoteProtocolError("garbage"), True),
        (httpx.ReadTimeout("silent"), True),
    ],
)
async def test_a_row_of_answers_of_a_kind_opens_the_breaker_or_never_does(
    answer: int | httpx.HTTPError, opens: bool
) -> None:
    def given(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, int):
            return httpx.Response(answer)
        raise answer

    breaker = peer_breaker("user_service")
    peer = peer_that(given, breaker)
    for _ in range(FAILURES_TO_OPEN if opens else 20):
        assert breaker.state == "closed"
        with suppress(PeerError):
            await peer.call("POST", "/x")

    assert breaker.state == ("open" if opens else "closed")
    if opens:
        with pytest.raises(PeerUnavailable, match="circuit open"):
            await peer.call("POST", "/x")


async def test_being_told_to_wait_neither_opens_the_breaker_nor_ends_a_row_of_failures() -> None:
    statuses = [500] * (FAILURES_TO_OPEN - 1) + [429] * 3 + [500]
    breaker = peer_breaker("user_service")
    peer = peer_that(lambda _: httpx.Response(statuses.pop(0)), breaker)
    while statuses:
        assert breaker.state == "closed"
        with pytest.raises(PeerUnavailable):
            await peer.call("POST", "/x")
    assert breaker.state == "open"


async def test_calls_that_their_callers_gave_up_count_for_nothing() -> None:
    async def silent(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        return httpx.Response(200)

    breaker = peer_breaker("user_service")
    peer = peer_that(silent, breaker)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await peer.call("POST", "/x")

    assert breaker.state == "closed"
    await peer.close()


async def test_ping_passes_the_breaker_by_both_ways() -> None:
    healthy = False

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200 if healthy else 503)

    breaker = peer_breaker("user_service")
    peer = peer_that(answer, breaker)
    for _ in range(10):
        with pytest.raises(PeerUnavailable):
            await peer.ping()
    assert breaker.state == "closed"

    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(PeerUnavailable):
            await peer.call("POST", "/x")
    healthy = True
    await peer.ping()
    assert breaker.state == "open"
