"""Over real sockets: a service that comes back after an outage is asked by one call, not by all that wait."""

import asyncio

import pytest

from shared.clients.peer import OPEN_FOR_S, Peer, PeerAnswer, PeerUnavailable
from shared.process.breaker import CircuitBreaker
from shared.process.service_tokens import ServiceTokens
from tests.fakes.http import Answer, FakeHttpServer, Request, Response

Calls = list["asyncio.Task[PeerAnswer]"]
TOKENS = ServiceTokens("a service secret for tests, of 32 bytes and more", "gateway")


async def _ended(calls: Calls, count: int) -> tuple[Calls, Calls]:
    """The calls that have ended, once there are `count` of them, and the others."""
    async with asyncio.timeout(10):
        while sum(call.done() for call in calls) < count:
            await asyncio.sleep(0.01)
    return [call for call in calls if call.done()], [call for call in calls if not call.done()]


async def test_of_fifty_calls_at_half_open_exactly_one_reaches_the_service() -> None:
    now = 1000.0
    reached: list[str] = []
    away, may_answer = True, asyncio.Event()

    async def answer(request: Request) -> Answer:
        reached.append(request.path)
        if away:
            return Response(status=503)
        await may_answer.wait()
        return Response(status=200)

    async with FakeHttpServer(answer) as server:
        breaker = CircuitBreaker("user_service", open_for_s=OPEN_FOR_S, monotonic=lambda: now)
        peer = Peer(base_url=server.url, service="user_service", tokens=TOKENS, breaker=breaker)
        for _ in range(5):
            with pytest.raises(PeerUnavailable, match="503"):
                await peer.call("GET", "/outage")
        with pytest.raises(PeerUnavailable, match="circuit open"):
            await peer.call("GET", "/open")
        assert reached == ["/outage"] * 5

        away, now = False, now + OPEN_FOR_S
        calls = [asyncio.create_task(peer.call("GET", "/half-open", timeout_s=30)) for _ in range(50)]
        # The forty-nine end while the one is still waited for.
        refused, waiting = await _ended(calls, 49)
        assert (len(refused), len(waiting)) == (49, 1)
        for call in refused:
            with pytest.raises(PeerUnavailable, match="circuit open"):
                call.result()

        may_answer.set()
        assert (await waiting.pop()).status == 200
        assert reached[5:] == ["/half-open"]
        answers = await asyncio.gather(*(peer.call("GET", "/closed") for _ in range(50)))
        assert {found.status for found in answers} == {200}
        assert reached[6:] == ["/closed"] * 50
        await peer.close()
