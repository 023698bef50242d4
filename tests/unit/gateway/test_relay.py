"""The relay's order, without a broker: what it would publish is written down."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

from gateway_service.messaging.postmarks import Postmarks
from gateway_service.messaging.relay import MAX_BATCH, Relay
from gateway_service.storage.notifications import Notification
from shared.broker.interface import Broker, Message, Receipt
from shared.broker.topology import lane_queue
from shared.contracts.channels import Channel, Lane
from shared.database.engine import Database
from tests.builders import a_notification


class Recorder:
    """Takes all that it is given."""

    def __init__(self) -> None:
        self.routes: list[str] = []

    async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
        self.routes += [message.route for message in messages]
        return [Receipt(error=None)] * len(messages)


async def test_an_urgent_message_overtakes_a_batch_that_waits() -> None:
    recorder = Recorder()
    postmarks = Postmarks(Database("postgresql://nobody@127.0.0.1:1/none"), ask_after_s=60)
    relay = Relay(cast(Broker, recorder), postmarks)
    bulk: list[Notification] = [a_notification(lane=Lane.BULK) for _ in range(3 * MAX_BATCH)]
    relay.offer([*bulk, a_notification(lane=Lane.URGENT)])
    running = asyncio.create_task(relay.run())
    await relay.drain()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert recorder.routes[0] == lane_queue(Channel.EMAIL, Lane.URGENT)
    assert len(recorder.routes) == 3 * MAX_BATCH + 1
