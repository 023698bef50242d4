"""What only RabbitMQ can do to us."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from shared.broker.interface import NotRouted
from shared.broker.rabbitmq.broker import RabbitBroker
from shared.broker.rabbitmq.intake import RabbitDelivery
from shared.broker.topology import EXCHANGE, FAILED_QUEUE, LANE_QUEUES, retry_queue
from tests import servers
from tests.builders import a_message
from tests.integration.broker.conftest import PATIENCE_S, RABBITMQ_SERVERS, alive, eventually, take

LANE = "email.queue"

pytestmark = pytest.mark.rabbitmq


@pytest.fixture(params=RABBITMQ_SERVERS)
def amqp_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each RabbitMQ in turn."""
    with servers.fresh_vhost(request.getfixturevalue(RABBITMQ_SERVERS[request.param])) as url:
        yield url


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[RabbitBroker]:
    broker = RabbitBroker(amqp_url, client_name="test")
    await broker.start(wait_s=PATIENCE_S)
    yield broker
    await broker.close()


@pytest.fixture
async def channel(amqp_url: str, broker: RabbitBroker) -> AsyncIterator[AbstractChannel]:
    """Somebody else at the same RabbitMQ."""
    async with await aio_pika.connect(amqp_url) as connection:
        yield await connection.channel()


async def test_headers_that_are_no_text_do_not_stop_a_message(
    broker: RabbitBroker, channel: AbstractChannel
) -> None:
    odd = aio_pika.Message(
        b"odd",
        headers={
            "number": 7,
            "nothing": None,
            "list": [1, {"deep": "x"}],
            "bytes": bytearray(b"\xff\xfe"),
            "x-death": "not ours",
            "x-delivery-count": "many",
            "correlation_id": "kept",
        },
    )
    bare = aio_pika.Message(b"bare")
    exchange = await channel.get_exchange(EXCHANGE)
    await exchange.publish(odd, LANE)
    await exchange.publish(bare, LANE)

    first, second = await take(broker.consume(LANE, prefetch=2), 2)

    assert (first.body, first.headers, first.deliveries) == (b"odd", {"correlation_id": "kept"}, 1)
    assert (second.body, second.headers) == (b"bare", {})


async def test_a_queue_deleted_under_a_consumer_comes_back_with_it(
    broker: RabbitBroker, channel: AbstractChannel
) -> None:
    consumer = broker.consume(LANE, prefetch=1)
    await alive(consumer)

    await channel.queue_delete(LANE)

    async def arrives() -> bool:
        (receipt,) = await broker.publish([a_message(body=b"after")])
        return receipt.error is None

    await eventually(arrives)
    (delivery,) = await take(consumer)
    assert delivery.body == b"after"


async def test_a_queue_deleted_under_a_publisher_is_told_and_comes_back(
    broker: RabbitBroker, channel: AbstractChannel
) -> None:
    await channel.queue_delete(LANE)

    (receipt,) = await broker.publish([a_message()])
    assert isinstance(receipt.error, NotRouted)

    async def published() -> bool:
        (receipt,) = await broker.publish([a_message()])
        return receipt.error is None

    await eventually(published)


async def test_a_returning_message_carries_nothing_of_the_broker_s_own(broker: RabbitBroker) -> None:
    await broker.publish([a_message(headers={"correlation_id": "c"})])
    consumer = broker.consume(LANE, prefetch=1)
    for _ in range(2):
        (delivery,) = await take(consumer)
        assert isinstance(delivery, RabbitDelivery)
        assert (delivery.headers, delivery.deliveries) == ({"correlation_id": "c"}, 1)
        await delivery.retry_later(1)


async def test_hundreds_of_opened_and_closed_consumers_leave_no_channel_behind(broker: RabbitBroker) -> None:
    for _ in range(30):
        consumer = broker.consume(LANE, prefetch=1)
        await alive(consumer)
        await consumer.close()
    last = broker.consume(LANE, prefetch=1)
    await alive(last)

    async def one_left() -> bool:
        return (await broker.queue_state(LANE)).consumers == 1

    await eventually(one_left)


async def test_asking_for_the_state_of_every_queue_again_and_again_works(broker: RabbitBroker) -> None:
    for _ in range(5):
        states = await asyncio.gather(*(broker.queue_state(queue) for queue in LANE_QUEUES))
        assert {state.depth for state in states} == {0}


async def test_a_message_that_ends_its_consumer_again_and_again_is_kept(
    broker: RabbitBroker, channel: AbstractChannel
) -> None:
    """RabbitMQ 4 gives a message up after twenty times, 3.10 never: it is parked there, and waits here."""
    await broker.publish([a_message(body=b"poison")])
    lane = await channel.get_queue(LANE)
    given_out = 0
    for _ in range(30):
        # Between two tries the queue may need a moment.
        message = await lane.get(fail=False, timeout=PATIENCE_S)
        if message is not None:
            given_out += 1
            await message.nack(requeue=True)

    async def kept() -> bool:
        waiting = [(await broker.queue_state(queue)).depth for queue in (LANE, FAILED_QUEUE)]
        return sum(waiting) == 1

    await eventually(kept)
    parked = (await broker.queue_state(FAILED_QUEUE)).depth == 1
    (delivery,) = await take(broker.consume(FAILED_QUEUE if parked else LANE, prefetch=1))
    assert delivery.body == b"poison"
    assert given_out > 20
    assert parked or delivery.deliveries > 20


async def test_a_delay_queue_holds_the_message_until_its_time(
    broker: RabbitBroker, channel: AbstractChannel
) -> None:
    await broker.publish([a_message()])
    (delivery,) = await take(broker.consume(LANE, prefetch=1))
    await delivery.retry_later(3)

    waiting = await channel.declare_queue(retry_queue(3), passive=True)
    assert waiting.declaration_result.message_count == 1
