"""Delays and the parking place."""

import asyncio
import time

from shared.broker.topology import FAILED_QUEUE, REPORTS_QUEUE
from tests.builders import a_message
from tests.integration.broker.conftest import Transport, nothing_comes, take

LANE = "email.queue"
URGENT = "email.urgent.queue"


async def test_a_message_comes_back_to_its_own_lane_as_it_was(transport: Transport) -> None:
    broker = await transport.connect()
    headers = {"correlation_id": "c-1"}
    await broker.publish([a_message(route=URGENT, body=b"again", headers=headers)])
    urgent, normal = broker.consume(URGENT, prefetch=1), broker.consume(LANE, prefetch=1)
    (delivery,) = await take(urgent)

    asked = time.monotonic()
    await delivery.retry_later(1)
    (back,) = await take(urgent)

    assert 0.9 < time.monotonic() - asked < 3
    assert (back.body, back.headers, back.queue, back.deliveries) == (b"again", headers, URGENT, 1)
    assert await nothing_comes(normal, for_s=0.2)


async def test_a_long_delay_never_holds_up_a_short_one(transport: Transport) -> None:
    broker = await transport.connect()
    await broker.publish([a_message(body=str(step).encode()) for step in (3, 2, 1)])
    consumer = broker.consume(LANE, prefetch=3)
    asked = time.monotonic()
    for delivery in await take(consumer, 3):
        await delivery.retry_later(int(delivery.body))

    came: list[tuple[bytes, float]] = []
    for _ in range(3):
        (delivery,) = await take(consumer)
        came.append((delivery.body, time.monotonic() - asked))
        await delivery.ack()

    assert [body for body, _ in came] == [b"1", b"2", b"3"]
    for (_, after_s), delay_s in zip(came, (1, 2, 4), strict=True):
        assert delay_s - 0.1 < after_s < delay_s + 2


async def test_what_waits_out_a_delay_is_not_counted_as_waiting(transport: Transport) -> None:
    broker = await transport.connect()
    await broker.publish([a_message()])
    consumer = broker.consume(LANE, prefetch=1)
    (delivery,) = await take(consumer)
    consumer.pause()
    await delivery.retry_later(2)

    assert (await broker.queue_state(LANE)).depth == 0


async def test_a_delayed_message_survives_its_process(transport: Transport) -> None:
    broker = await transport.connect()
    await broker.publish([a_message(body=b"later")])
    (delivery,) = await take(broker.consume(LANE, prefetch=1))
    await delivery.retry_later(1)
    await broker.close()

    (back,) = await take((await transport.connect()).consume(LANE, prefetch=1))

    assert back.body == b"later"


async def test_a_parked_message_is_in_the_failed_queue_and_nowhere_else(transport: Transport) -> None:
    broker = await transport.connect()
    await broker.publish([a_message(body=b"original", headers={"notification_id": "n-1"})])
    consumer = broker.consume(LANE, prefetch=1)
    (delivery,) = await take(consumer)

    await delivery.park(b"with its history")

    (parked,) = await take(broker.consume(FAILED_QUEUE, prefetch=1))
    assert (parked.body, parked.headers) == (b"with its history", {"notification_id": "n-1"})
    assert parked.queue == FAILED_QUEUE
    assert await nothing_comes(consumer)


async def test_a_retry_during_an_outage_either_happens_or_the_message_comes_back(
    transport: Transport,
) -> None:
    proxy, url = await transport.proxy()
    broker = await transport.connect(url)
    await broker.publish([a_message(body=b"once")])
    (delivery,) = await take(broker.consume(LANE, prefetch=1))
    await proxy.stop()

    asking = asyncio.create_task(delivery.retry_later(1))
    await asyncio.sleep(0.2)
    await proxy.start()
    async with asyncio.timeout(15):
        await asking

    watcher = await transport.connect()
    await broker.close()
    (back,) = await take(watcher.consume(LANE, prefetch=1))
    assert back.body == b"once"


async def test_all_three_ways_to_finish_go_together(transport: Transport) -> None:
    broker = await transport.connect()
    await broker.publish([a_message(route=REPORTS_QUEUE, body=str(place).encode()) for place in range(90)])
    taken = await take(broker.consume(REPORTS_QUEUE, prefetch=90), 90)

    await asyncio.gather(
        *(delivery.ack() for delivery in taken[0::3]),
        *(delivery.retry_later(1) for delivery in taken[1::3]),
        *(delivery.park(b"parked " + delivery.body) for delivery in taken[2::3]),
    )
    await broker.close()

    fresh = await transport.connect()
    back = await take(fresh.consume(REPORTS_QUEUE, prefetch=90), 30)
    assert {int(d.body) for d in back} == set(range(1, 90, 3))
    parked = await take(fresh.consume(FAILED_QUEUE, prefetch=90), 30)
    assert {int(d.body.split()[1]) for d in parked} == set(range(2, 90, 3))
