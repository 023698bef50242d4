"""What survives the death of the broker's server itself."""

import asyncio
from collections.abc import Iterator

import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from shared.broker.factory import connect_broker
from shared.broker.interface import Broker, BrokerError, BrokerUnavailable, Consumer
from shared.broker.topology import FAILED_QUEUE, REPORTS_QUEUE
from tests import servers
from tests.builders import a_message
from tests.integration.broker.conftest import alive, eventually, take

LANE = "email.queue"
LONG_S = 60.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["rabbitmq", "postgres"])
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedRabbitMQ | EmbeddedPostgres]:
    """A durable server of this module's own. Start and stop it from the main thread only."""
    with servers.server_folder() as folder:
        if request.param == "rabbitmq":
            with servers.running_rabbitmq(folder) as rabbitmq:
                yield rabbitmq
        else:
            with servers.running_postgres(folder, durable=True) as postgres:
                yield postgres


def url_of(server: EmbeddedRabbitMQ | EmbeddedPostgres) -> str:
    # A database that does not exist: the transport creates it.
    return server.url() if isinstance(server, EmbeddedRabbitMQ) else server.database_url("broker_db")


async def publish_when_possible(broker: Broker, body: bytes, *, route: str = LANE) -> None:
    async def published() -> bool:
        (receipt,) = await broker.publish([a_message(route=route, body=body)])
        return receipt.error is None

    await eventually(published, within_s=LONG_S)


async def test_an_orderly_restart_loses_nothing_and_everybody_resumes(
    server: EmbeddedRabbitMQ | EmbeddedPostgres,
) -> None:
    broker = connect_broker(url_of(server), client_name="test")
    await broker.start(wait_s=LONG_S)
    try:
        await broker.write_epoch("kept")
        await broker.publish([a_message(body=body) for body in (b"held", b"delayed", b"parked", b"waiting")])
        consumer = broker.consume(LANE, prefetch=3)
        _held, delayed, parked = await take(consumer, 3)
        await delayed.retry_later(3)
        await parked.park(b"parked")
        # A queue that was declared less than a second before its node ends may come back without a leader.
        await asyncio.sleep(2)

        server.stop()
        server.start()

        bodies: set[bytes] = set()
        while bodies != {b"held", b"delayed", b"waiting"}:
            for delivery in await take(consumer, within_s=LONG_S):
                bodies.add(delivery.body)
                await delivery.ack()
        await publish_when_possible(broker, b"afterwards")
        assert [d.body for d in await take(consumer)] == [b"afterwards"]
        assert [d.body for d in await take(broker.consume(FAILED_QUEUE, prefetch=1))] == [b"parked"]
        await epoch_returns(broker, "kept")
    finally:
        await broker.close()


async def test_what_was_confirmed_survives_kill_9(server: EmbeddedRabbitMQ | EmbeddedPostgres) -> None:
    broker = connect_broker(url_of(server), client_name="test")
    await broker.start(wait_s=LONG_S)
    safe: set[bytes] = set()
    failed: list[BrokerError] = []
    try:
        await publish_when_possible(broker, b"first", route=REPORTS_QUEUE)
        await asyncio.sleep(2)

        async def publish() -> None:
            for number in range(0, 100_000, 100):
                batch = [
                    a_message(route=REPORTS_QUEUE, body=str(number + offset).encode())
                    for offset in range(100)
                ]
                for message, receipt in zip(batch, await broker.publish(batch), strict=True):
                    if receipt.error is None:
                        safe.add(message.body)
                    else:
                        failed.append(receipt.error)
                if failed:
                    break

        publishing = asyncio.create_task(publish())
        await asyncio.sleep(1)
        server.kill()
        await publishing
        server.start()

        assert all(isinstance(error, BrokerUnavailable) for error in failed)
        assert len(safe) >= 100
        consumer = broker.consume(REPORTS_QUEUE, prefetch=1000)
        await until_arrived(consumer, safe)
    finally:
        await broker.close()


async def until_arrived(consumer: Consumer, expected: set[bytes]) -> None:
    await alive(consumer)
    arrived: set[bytes] = set()
    async with asyncio.timeout(LONG_S):
        async for delivery in consumer:
            arrived.add(delivery.body)
            await delivery.ack()
            if expected <= arrived:
                return


async def epoch_returns(broker: Broker, epoch: str) -> None:
    """A stream of a node that has just started may be empty for a moment."""

    async def is_back() -> bool:
        try:
            return await broker.epoch() == epoch
        except BrokerUnavailable:
            return False

    await eventually(is_back, within_s=LONG_S)
