"""A connection that comes back by itself."""

import asyncio
from collections.abc import Callable

import pytest

from shared.broker.interface import BrokerUnavailable
from shared.broker.link import LONGEST_PAUSE_S, Backoff, Link


class Server:
    """Hands out numbered connections, or none while it is away."""

    def __init__(self) -> None:
        self.away = False
        self.opened: list[str] = []
        self.freed: list[str] = []
        self.cut: Callable[[], None] = lambda: None

    async def connect(self, lost: Callable[[], None]) -> str:
        if self.away:
            raise BrokerUnavailable("away")
        self.cut = lost
        self.opened.append(f"connection {len(self.opened) + 1}")
        return self.opened[-1]

    async def disconnect(self, connection: str) -> None:
        self.freed.append(connection)


def a_link(server: Server) -> Link[str]:
    return Link(purpose="test", connect=server.connect, disconnect=server.disconnect)


async def test_a_lost_connection_is_freed_and_replaced() -> None:
    server = Server()
    link = a_link(server)
    link.start()
    assert await link.wait() == "connection 1"

    server.cut()
    while link.connection != "connection 2":
        await asyncio.sleep(0)
        await link.wait()

    assert server.freed == ["connection 1"]
    await link.close()
    assert server.freed == ["connection 1", "connection 2"]


async def test_there_is_none_while_the_server_is_away_and_one_when_it_is_back() -> None:
    server = Server()
    server.away = True
    link = a_link(server)
    link.start()
    await asyncio.sleep(0)
    with pytest.raises(BrokerUnavailable):
        link.require()

    server.away = False

    assert await link.wait() == link.require() == "connection 1"
    await link.close()


async def test_dropping_a_connection_that_was_replaced_does_no_harm() -> None:
    server = Server()
    link = a_link(server)
    link.start()
    first = await link.wait()
    link.drop(first)
    while link.connection in {first, None}:
        await asyncio.sleep(0.01)

    link.drop(first)
    await asyncio.sleep(0.01)

    assert link.connection == "connection 2"
    await link.close()


async def test_a_link_that_never_started_closes() -> None:
    await a_link(Server()).close()


def test_pauses_grow_to_their_limit_and_begin_anew_after_success() -> None:
    backoff = Backoff()
    pauses = [backoff.next_s() for _ in range(20)]
    assert 0.05 <= pauses[0] <= 0.1
    assert all(LONGEST_PAUSE_S / 2 <= pause_s <= LONGEST_PAUSE_S for pause_s in pauses[8:])

    backoff.reset()

    assert backoff.next_s() <= 0.1
