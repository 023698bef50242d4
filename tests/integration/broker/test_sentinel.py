"""The epoch says whether the broker still has the data it once had."""

import asyncio

import pytest

from shared.broker.interface import Broker, BrokerUnavailable
from tests.builders import a_message
from tests.integration.broker.conftest import Transport, eventually


async def test_a_new_broker_has_no_epoch(transport: Transport) -> None:
    assert await (await transport.connect()).epoch() is None


async def test_an_epoch_is_written_once(transport: Transport) -> None:
    broker = await transport.connect()
    await broker.write_epoch("first")
    await broker.write_epoch("second")

    assert await broker.epoch() == "first"


async def test_of_many_writers_one_survives_and_all_read_the_same(transport: Transport) -> None:
    brokers = [await transport.connect() for _ in range(4)]

    await asyncio.gather(*(broker.write_epoch(f"epoch-{n}") for n, broker in enumerate(brokers)))

    epochs = {await broker.epoch() for broker in brokers}
    assert len(epochs) == 1
    assert epochs <= {f"epoch-{n}" for n in range(4)}


async def test_the_epoch_outlives_the_connections_that_wrote_and_read_it(transport: Transport) -> None:
    proxy, url = await transport.proxy()
    broker = await transport.connect(url)
    await broker.write_epoch("lasting")
    reading = [asyncio.create_task(broker.epoch()) for _ in range(20)]
    await asyncio.sleep(0.003)
    await proxy.cut()
    await asyncio.gather(*reading, return_exceptions=True)

    fresh = await transport.connect()
    epochs = await asyncio.gather(*(fresh.epoch() for _ in range(30)))
    assert set(epochs) == {"lasting"}


async def test_after_a_wipe_there_is_none_and_the_topology_comes_back(transport: Transport) -> None:
    broker = await transport.connect()
    await broker.write_epoch("before")
    await broker.publish([a_message(body=b"wiped")])

    await transport.wipe()

    async def gone() -> bool:
        return await epoch_or(broker, "unavailable") is None

    await eventually(gone)

    async def works() -> bool:
        (receipt,) = await broker.publish([a_message(body=b"after")])
        return receipt.error is None

    await eventually(works)
    await broker.write_epoch("after")
    assert await broker.epoch() == "after"


async def epoch_or(broker: Broker, default: str) -> str | None:
    try:
        return await broker.epoch()
    except BrokerUnavailable:
        return default


async def test_an_absent_broker_is_never_taken_for_a_wiped_one(transport: Transport) -> None:
    proxy, url = await transport.proxy()
    broker = await transport.connect(url)
    await broker.write_epoch("there")

    proxy.freeze()
    with pytest.raises(BrokerUnavailable):
        await broker.epoch()
    await proxy.stop()
    with pytest.raises(BrokerUnavailable):
        await broker.epoch()


async def test_a_ping_answers_or_says_that_nobody_does(transport: Transport) -> None:
    proxy, url = await transport.proxy()
    broker = await transport.connect(url)
    await broker.ping()

    proxy.freeze()
    with pytest.raises(BrokerUnavailable):
        async with asyncio.timeout(3):
            await broker.ping()
