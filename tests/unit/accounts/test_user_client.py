"""The client of the user service: what single requests make it do keeps nobody from being looked up."""

import asyncio

import httpx
import msgspec
import pytest

from shared.clients.peer import FAILURES_TO_OPEN, PeerUnavailable
from shared.clients.users import UserClient
from shared.contracts.recipients import RecipientAnswer, RecipientQuestion
from shared.process.service_tokens import ServiceTokens

TOKENS = ServiceTokens("a service secret for tests, of 32 bytes and more", "gateway")
LOGIN, READ = "/internal/v1/auth/token", "/internal/v1/users/1"


class UserService(httpx.AsyncBaseTransport):
    """Knows nobody. `holds`: the paths of requests that it never answers, `fails`: of those that get 503."""

    def __init__(self) -> None:
        self.holds: set[str] = set()
        self.fails: set[str] = set()
        self.is_away = False
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Whatever is asked."""
        self.asked += 1
        if self.is_away:
            raise httpx.ConnectError("refused")
        if request.url.path in self.holds:
            await asyncio.Event().wait()
        if request.url.path in self.fails:
            return httpx.Response(503)
        return httpx.Response(200, content=msgspec.json.encode(RecipientAnswer()))


@pytest.fixture
def service() -> UserService:
    """At work."""
    return UserService()


@pytest.fixture
def client(service: UserService) -> UserClient:
    """Of it."""
    return UserClient("http://user_service", TOKENS, transport=service)


async def test_a_crowd_of_logins_holds_up_neither_look_ups_nor_other_requests(
    service: UserService, client: UserClient
) -> None:
    service.holds = {LOGIN}
    crowd = [asyncio.create_task(client.logins.call("POST", LOGIN, timeout_s=60)) for _ in range(100)]
    async with asyncio.timeout(10):
        while not service.asked:
            await asyncio.sleep(0)
        await client.recipients(RecipientQuestion())
        await client.peer.call("GET", READ, timeout_s=60)
    await client.close()
    for login in crowd:
        login.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)


async def test_logins_that_are_turned_away_and_requests_that_fail_open_no_breaker(
    service: UserService, client: UserClient
) -> None:
    service.fails = {LOGIN, READ}
    for peer, path in ((client.logins, LOGIN), (client.peer, READ)):
        for _ in range(10):
            with pytest.raises(PeerUnavailable, match="503"):
                await peer.call("POST", path)
    assert client.breaker.state == "closed"
    await client.recipients(RecipientQuestion())


async def test_requests_fail_at_once_while_look_ups_have_found_the_service_away(
    service: UserService, client: UserClient
) -> None:
    service.is_away = True
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(PeerUnavailable):
            await client.recipients(RecipientQuestion())
    asked = service.asked
    for peer, path in ((client.logins, LOGIN), (client.peer, READ)):
        with pytest.raises(PeerUnavailable, match="circuit open"):
            await peer.call("GET", path)
    assert service.asked == asked
