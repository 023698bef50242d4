"""What a consumer hands out, and what becomes of what it does not finish."""

import asyncio

from shared.broker.interface import Broker, Consumer, Delivery
from tests.builders import a_message
from tests.integration.broker.conftest import Transport, alive, eventually, nothing_comes, take

LANE = "email.queue"


async def depth_is(broker: Broker, depth: int, *, queue: str = LANE) -> None:
    async def holds() -> bool:
        return (await broker.queue_state(queue)).depth == depth

    await eventually(holds)


async def publish(broker: Broker, number: int, *, queue: str = LANE) -> None:
    messages = [a_message(route=queue, body=str(place).encode()) for place in range(number)]
    receipts = await broker.publish(messages)
    assert [receipt.error for receipt in receipts] == [None] * number


async def test_at_most_prefetch_are_unfinished_at_a_time(transport: Transport) -> None:
    broker = await transport.connect()
    await publish(broker, 10)
    consumer = broker.consume(LANE, prefetch=3)

    first, second, third = await take(consumer, 3)
    assert await nothing_comes(consumer)
    await second.ack()
    (fourth,) = await take(consumer)
    assert await nothing_comes(consumer)

    assert [d.body for d in (first, second, third, fourth)] == [b"0", b"1", b"2", b"3"]


async def test_what_is_acked_never_comes_back(transport: Transport) -> None:
    broker = await transport.connect()
    await publish(broker, 300)
    consumer = broker.consume(LANE, prefetch=50)
    seen: list[bytes] = []
    async for delivery in consumer:
        seen.append(delivery.body)
        await delivery.ack()
        if len(seen) == 300:
            break
    await broker.close()

    fresh = await transport.connect()
    assert len(set(seen)) == 300
    await depth_is(fresh, 0)
    assert await nothing_comes(fresh.consume(LANE, prefetch=10), for_s=1)


async def test_acks_out_of_order_settle_exactly_what_was_acked(transport: Transport) -> None:
    broker = await transport.connect()
    await publish(broker, 20)
    taken = await take(broker.consume(LANE, prefetch=20), 20)
    for place in (19, 3, 1, 0, 7, 2, 18):
        await taken[place].ack()
        await asyncio.sleep(0.01)
    await broker.close()

    fresh = await transport.connect()
    left = {4, 5, 6, *range(8, 18)}
    again = await take(fresh.consume(LANE, prefetch=50), len(left))
    assert {int(d.body) for d in again} == left


async def test_a_second_finish_of_the_same_delivery_does_nothing(transport: Transport) -> None:
    broker = await transport.connect()
    await publish(broker, 2)
    consumer = broker.consume(LANE, prefetch=2)
    first, second = await take(consumer, 2)

    await first.ack()
    await first.ack()
    await first.park(b"never")
    await first.retry_later(1)
    await second.ack()

    await depth_is(broker, 0)
    assert consumer.alive
    assert (await broker.queue_state("failed.queue")).depth == 0
    assert await nothing_comes(consumer, for_s=1.5)


async def test_what_is_unfinished_comes_back_when_the_connection_is_lost(transport: Transport) -> None:
    proxy, url = await transport.proxy()
    broker = await transport.connect(url)
    await publish(broker, 3)
    consumer = broker.consume(LANE, prefetch=2)
    first, second = await take(consumer, 2)
    assert (first.deliveries, second.deliveries) == (1, 1)

    await proxy.cut()
    await first.ack()
    await second.ack()

    # What was handed out before the cut came back, unless the late ack still counted (PostgreSQL).
    rest = await transport.connect()
    other = rest.consume(LANE, prefetch=10)
    bodies: list[bytes] = []
    while b"2" not in bodies:
        for delivery in await take_from_either(consumer, other):
            bodies.append(delivery.body)
            await delivery.ack()
    await depth_is(rest, 0)


async def take_from_either(one: Consumer, other: Consumer) -> list[Delivery]:
    tasks = [asyncio.create_task(take(one)), asyncio.create_task(take(other))]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return [delivery for task in done for delivery in task.result()]


async def test_a_message_whose_holder_died_is_handed_to_another_within_seconds(transport: Transport) -> None:
    proxy, url = await transport.proxy()
    dying = await transport.connect(url)
    await publish(dying, 5)
    held = await take(dying.consume(LANE, prefetch=5), 5)
    heir = (await transport.connect()).consume(LANE, prefetch=5)
    assert await nothing_comes(heir)

    await proxy.stop()

    inherited = await take(heir, 5, within_s=10)
    assert {d.body for d in inherited} == {d.body for d in held}
    assert [d.deliveries for d in inherited] == [2] * 5


async def test_finishing_after_the_message_was_given_to_another_does_nothing(transport: Transport) -> None:
    proxy, url = await transport.proxy()
    late = await transport.connect(url)
    await publish(late, 3)
    its_consumer = late.consume(LANE, prefetch=3)
    acked, parked, retried = await take(its_consumer, 3)
    await proxy.stop()
    watcher = await transport.connect()
    await take(watcher.consume(LANE, prefetch=3), 3)

    await proxy.start()
    await acked.ack()
    async with asyncio.timeout(15):
        await parked.park(b"too late")
        await retried.retry_later(1)
    await its_consumer.close()
    await watcher.close()

    heir = await transport.connect()
    assert len(await take(heir.consume(LANE, prefetch=9), 3)) == 3
    if transport.name == "postgres":
        assert (await heir.queue_state("failed.queue")).depth == 0


async def test_two_consumers_share_the_work(transport: Transport) -> None:
    one, two = await transport.connect(), await transport.connect()
    seen: dict[int, list[bytes]] = {1: [], 2: []}

    async def work(number: int, consumer: Consumer) -> None:
        async for delivery in consumer:
            seen[number].append(delivery.body)
            await asyncio.sleep(0.002)
            await delivery.ack()

    consumers = [one.consume(LANE, prefetch=5), two.consume(LANE, prefetch=5)]
    for consumer in consumers:
        await alive(consumer)
    tasks = [asyncio.create_task(work(number, consumer)) for number, consumer in enumerate(consumers, 1)]
    await publish(one, 200)

    async def all_seen() -> bool:
        return len(seen[1]) + len(seen[2]) >= 200

    await eventually(all_seen)
    for consumer in consumers:
        await consumer.close()
    await asyncio.gather(*tasks)
    assert len({*seen[1], *seen[2]}) == len(seen[1]) + len(seen[2]) == 200
    assert min(len(seen[1]), len(seen[2])) > 20


async def test_a_paused_consumer_hands_out_nothing_until_it_resumes(transport: Transport) -> None:
    broker = await transport.connect()
    consumer = broker.consume(LANE, prefetch=5)
    await alive(consumer)
    consumer.pause()
    await publish(broker, 3)

    assert await nothing_comes(consumer)
    assert consumer.alive

    consumer.resume()
    assert len(await take(consumer, 3)) == 3


async def test_a_consumer_that_may_hand_out_one_hands_out_one(transport: Transport) -> None:
    broker = await transport.connect()
    consumer = broker.consume(LANE, prefetch=5)
    await alive(consumer)
    consumer.pause()
    await publish(broker, 3)

    consumer.resume(at_most=1)

    (only,) = await take(consumer, 1)
    assert await nothing_comes(consumer)
    await only.ack()
    assert await nothing_comes(consumer)
    consumer.resume()
    assert len(await take(consumer, 2)) == 2


async def test_closing_hands_back_what_was_prefetched_and_leaves_the_rest_to_be_finished(
    transport: Transport,
) -> None:
    broker = await transport.connect()
    await publish(broker, 8)
    consumer = broker.consume(LANE, prefetch=8)
    (in_hand,) = await take(consumer)
    await depth_is(broker, 0)

    await consumer.close()

    assert not consumer.alive
    assert [delivery async for delivery in consumer] == []
    other = broker.consume(LANE, prefetch=20)
    assert {d.body for d in await take(other, 7)} == {str(place).encode() for place in range(1, 8)}
    await in_hand.ack()
    await broker.close()
    fresh = await transport.connect()
    again = await take(fresh.consume(LANE, prefetch=20), 7)
    assert b"0" not in {d.body for d in again}


async def test_closing_the_broker_gives_everything_back(transport: Transport) -> None:
    broker = await transport.connect()
    await publish(broker, 6)
    await take(broker.consume(LANE, prefetch=4), 2)

    async with asyncio.timeout(5):
        await broker.close()

    fresh = await transport.connect()
    assert len(await take(fresh.consume(LANE, prefetch=9), 6)) == 6


async def test_a_broker_that_no_longer_answers_is_closed_within_five_seconds(transport: Transport) -> None:
    proxy, url = await transport.proxy()
    broker = await transport.connect(url)
    await publish(broker, 9)
    consumer = broker.consume(LANE, prefetch=5)
    in_hand, _ = await take(consumer, 2)
    broker.subscribe()

    proxy.freeze()
    await in_hand.ack()
    async with asyncio.timeout(5):
        await consumer.close()
        await broker.close()


async def test_a_consumer_is_alive_only_while_the_broker_holds_it(transport: Transport) -> None:
    proxy, url = await transport.proxy()
    await proxy.stop()
    broker = transport.create(url)
    await broker.start(wait_s=None)
    consumer = broker.consume(LANE, prefetch=1)
    assert not consumer.alive

    await proxy.start()
    await alive(consumer)
    await proxy.stop()

    async def gone() -> bool:
        return not consumer.alive

    await eventually(gone)
    await proxy.start()
    await alive(consumer)
    await publish(await transport.connect(), 1)
    (delivery,) = await take(consumer)
    assert delivery.body == b"0"


async def test_consumers_of_a_queue_are_counted(transport: Transport) -> None:
    broker, other = await transport.connect(), await transport.connect()
    consumers = [broker.consume(LANE, prefetch=1), other.consume(LANE, prefetch=1)]
    for consumer in consumers:
        await alive(consumer)

    async def count_is(number: int) -> bool:
        return (await broker.queue_state(LANE)).consumers == number

    await eventually(lambda: count_is(2))
    await consumers[1].close()
    await eventually(lambda: count_is(1))
    assert (await broker.queue_state("push.queue")).consumers == 0


async def test_what_waits_is_counted_and_what_is_in_delivery_is_not(transport: Transport) -> None:
    broker = await transport.connect()
    await publish(broker, 7)
    await depth_is(broker, 7)

    await take(broker.consume(LANE, prefetch=3), 3)

    await depth_is(broker, 4)
    state = await broker.queue_state(LANE)
    if transport.name == "postgres":
        assert state.oldest_age_s is not None
        assert 0 < state.oldest_age_s < 60
    else:
        assert state.oldest_age_s is None
