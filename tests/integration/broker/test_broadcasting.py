"""Broadcasts, and knowing when one may have been missed."""

import asyncio

import pytest

from shared.broker.interface import BrokerUnavailable, Subscription
from tests.integration.broker.conftest import PATIENCE_S, Transport


async def read(subscription: Subscription, number: int = 1) -> list[bytes | None]:
    heard: list[bytes | None] = []
    async with asyncio.timeout(PATIENCE_S):
        async for body in subscription:
            heard.append(body)
            if len(heard) == number:
                break
    return heard


async def test_everybody_who_subscribes_hears_a_broadcast(transport: Transport) -> None:
    one, two = await transport.connect(), await transport.connect()
    subscriptions = [one.subscribe(), two.subscribe(), two.subscribe()]
    for subscription in subscriptions:
        assert await read(subscription) == [None]

    await one.broadcast("Vorlage «ä» published".encode())
    await two.broadcast(b"x" * 7000)

    for subscription in subscriptions:
        heard = await read(subscription, 2)
        assert sorted(heard, key=lambda body: len(body or b"")) == [
            "Vorlage «ä» published".encode(),
            b"x" * 7000,
        ]


async def test_a_broadcast_without_listeners_is_no_error(transport: Transport) -> None:
    await (await transport.connect()).broadcast(b"anybody?")


@pytest.mark.parametrize("body", [b"x" * 7001, b"\xff", b"a\0b"], ids=["long", "no text", "NUL"])
async def test_what_not_every_transport_could_carry_is_refused(transport: Transport, body: bytes) -> None:
    broker = await transport.connect()
    with pytest.raises(ValueError):
        await broker.broadcast(body)


async def test_after_a_time_without_connection_the_listener_is_told(transport: Transport) -> None:
    proxy, url = await transport.proxy()
    cut_off, steady = await transport.connect(url), await transport.connect()
    subscription = cut_off.subscribe()
    assert await read(subscription) == [None]

    await proxy.stop()
    await steady.broadcast(b"missed")
    await proxy.start()

    assert await read(subscription) == [None]
    await steady.broadcast(b"heard")
    assert await read(subscription) == [b"heard"]


async def test_who_subscribes_while_the_broker_is_away_is_told_when_it_holds(transport: Transport) -> None:
    proxy, url = await transport.proxy()
    await proxy.stop()
    broker = transport.create(url)
    await broker.start(wait_s=None)
    subscription = broker.subscribe()
    with pytest.raises(BrokerUnavailable):
        await broker.broadcast(b"into the void")

    await proxy.start()

    assert await read(subscription) == [None]
    await (await transport.connect()).broadcast(b"now")
    assert await read(subscription) == [b"now"]


async def test_closing_ends_the_iteration(transport: Transport) -> None:
    subscription = (await transport.connect()).subscribe()
    reading = asyncio.create_task(collect(subscription))
    await asyncio.sleep(0.2)

    await subscription.close()

    async with asyncio.timeout(5):
        assert await reading == [None]


async def collect(subscription: Subscription) -> list[bytes | None]:
    return [body async for body in subscription]
