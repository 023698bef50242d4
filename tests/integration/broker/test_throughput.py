"""How fast it is, printed and not asserted: the machine is shared. Run with `-s`."""

import asyncio
import time

from tests.builders import a_message
from tests.integration.broker.conftest import Transport

MESSAGES = 2_000


async def test_thousands_of_messages_go_through(transport: Transport) -> None:
    broker = await transport.connect()
    body = b"x" * 800
    started = time.perf_counter()
    for _ in range(MESSAGES // 1000):
        receipts = await broker.publish([a_message(body=body) for _ in range(1000)])
        assert all(receipt.error is None for receipt in receipts)
    published = time.perf_counter()

    consumer = broker.consume("email.queue", prefetch=200)
    finished = 0

    async def work() -> None:
        nonlocal finished
        async for delivery in consumer:
            await delivery.ack()
            finished += 1
            if finished >= MESSAGES:
                await consumer.close()

    async with asyncio.timeout(120):
        await asyncio.gather(*(work() for _ in range(20)))
    consumed = time.perf_counter()
    assert finished == MESSAGES
    print(
        f"\n{transport.name}: {MESSAGES / (published - started):,.0f} published/s,"
        f" {MESSAGES / (consumed - published):,.0f} consumed and acked/s"
    )
