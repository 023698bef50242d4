"""What a receipt promises."""

import asyncio
import time

from shared.broker.interface import BrokerError, BrokerUnavailable, Message, NotRouted
from shared.broker.postgres.broker import PostgresBroker
from shared.broker.rabbitmq.broker import RabbitBroker
from shared.broker.topology import FAILED_QUEUE, REPORTS_QUEUE, WORK_QUEUES
from tests.builders import a_message
from tests.integration.broker.conftest import Transport, alive, eventually, take

LANE = "email.queue"


async def test_a_batch_is_confirmed_and_arrives_in_order(transport: Transport) -> None:
    broker = await transport.connect()
    bodies = [f"message {number}".encode() for number in range(1200)]

    receipts = await broker.publish([a_message(body=body) for body in bodies])

    assert [receipt.error for receipt in receipts] == [None] * 1200
    taken = await take(broker.consume(LANE, prefetch=1200), 1200)
    assert [delivery.body for delivery in taken] == bodies


async def test_body_and_headers_arrive_as_they_were(transport: Transport) -> None:
    broker = await transport.connect()
    headers = {"correlation_id": "Ünïcode ☃", "notification_id": "0190a"}
    body = bytes(range(256)) * 300

    await broker.publish([a_message(body=body, headers=headers), a_message(body=b"", headers={})])

    first, second = await take(broker.consume(LANE, prefetch=10), 2)
    assert (first.body, first.headers, first.queue, first.deliveries) == (body, headers, LANE, 1)
    assert (second.body, second.headers) == (b"", {})


async def test_every_work_queue_is_there_from_the_start(transport: Transport) -> None:
    broker = await transport.connect()

    receipts = await broker.publish([a_message(route=queue) for queue in WORK_QUEUES])

    assert [receipt.error for receipt in receipts] == [None] * len(WORK_QUEUES)
    for queue in WORK_QUEUES:
        (delivery,) = await take(broker.consume(queue, prefetch=1))
        assert delivery.queue == queue


async def test_an_unknown_route_fails_alone(transport: Transport) -> None:
    broker = await transport.connect()

    receipts = await broker.publish(
        [a_message(body=b"1"), a_message(route="nobody.queue"), a_message(body=b"2")]
    )

    assert isinstance(receipts[1].error, NotRouted)
    assert receipts[0].error is None
    assert receipts[2].error is None
    assert [d.body for d in await take(broker.consume(LANE, prefetch=10), 2)] == [b"1", b"2"]


async def test_a_message_that_can_never_be_taken_fails_alone(transport: Transport) -> None:
    broker = await transport.connect()

    receipts = await broker.publish(
        [
            a_message(body=b"x" * (8 * 1024 * 1024 + 1)),
            a_message(headers={"correlation_id": "\ud800"}),
            a_message(body=b"good"),
        ]
    )

    assert type(receipts[0].error) is BrokerError
    assert type(receipts[1].error) is BrokerError
    assert receipts[2].error is None
    (delivery,) = await take(broker.consume(LANE, prefetch=10))
    assert delivery.body == b"good"


async def test_an_empty_batch_needs_no_broker(transport: Transport) -> None:
    assert await transport.create("amqp://127.0.0.1:1/").publish([]) == []


async def test_many_publishers_at_once_each_get_their_own_receipts(transport: Transport) -> None:
    broker = await transport.connect()

    async def publish(number: int) -> bool:
        good, bad = await broker.publish([a_message(route=REPORTS_QUEUE), a_message(route=f"none.{number}")])
        return good.error is None and isinstance(bad.error, NotRouted)

    assert all(await asyncio.gather(*(publish(number) for number in range(50))))
    state = await broker.queue_state(REPORTS_QUEUE)
    assert state.depth <= 50


async def test_an_absent_broker_is_a_receipt_at_once(transport: Transport) -> None:
    proxy, url = await transport.proxy()
    await proxy.stop()
    broker = transport.create(url)
    await broker.start(wait_s=0.1)

    started = time.monotonic()
    (receipt,) = await broker.publish([a_message()])

    assert isinstance(receipt.error, BrokerUnavailable)
    assert time.monotonic() - started < 1


async def test_a_frozen_broker_is_a_receipt_within_the_time_limit(transport: Transport) -> None:
    proxy, url = await transport.proxy()
    kind = RabbitBroker if transport.name == "rabbitmq" else PostgresBroker
    broker = kind(url, client_name="test", publish_timeout_s=0.5)
    await broker.start(wait_s=10)
    try:
        proxy.freeze()
        started = time.monotonic()
        receipts = await broker.publish([a_message(), a_message()])

        assert all(isinstance(receipt.error, BrokerUnavailable) for receipt in receipts)
        assert time.monotonic() - started < 2

        proxy.thaw()

        async def works() -> bool:
            (receipt,) = await broker.publish([a_message(route=FAILED_QUEUE)])
            return receipt.error is None

        await eventually(works)
    finally:
        await broker.close()


async def test_what_a_receipt_calls_safe_survives_a_connection_cut_in_the_middle(
    transport: Transport,
) -> None:
    proxy, url = await transport.proxy()
    broker = await transport.connect(url)
    safe: set[bytes] = set()
    failed = 0

    async def publish() -> None:
        nonlocal failed
        for number in range(0, 6000, 300):
            batch = [a_message(body=str(number + offset).encode()) for offset in range(300)]
            for message, receipt in zip(batch, await broker.publish(batch), strict=True):
                if receipt.error is None:
                    safe.add(message.body)
                else:
                    assert isinstance(receipt.error, BrokerUnavailable)
                    failed += 1

    publishing = asyncio.create_task(publish())

    async def under_way() -> bool:
        return len(safe) >= 300 or publishing.done()

    await eventually(under_way)
    await proxy.cut()
    await publishing

    assert failed > 0
    arrived: set[bytes] = set()
    consumer = (await transport.connect()).consume(LANE, prefetch=10_000)
    await alive(consumer)
    while not safe <= arrived:
        arrived.update(delivery.body for delivery in await take(consumer))


async def test_a_message_stays_with_its_broker_when_nobody_is_connected(transport: Transport) -> None:
    broker = await transport.connect()
    await broker.publish([Message(route=LANE, body=b"kept")])
    await broker.close()

    (delivery,) = await take((await transport.connect()).consume(LANE, prefetch=1))

    assert delivery.body == b"kept"
