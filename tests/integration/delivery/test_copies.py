"""Many copies of the same messages, from the delay queue and from the sweep, in two processes at once."""

import asyncio
import time
from collections import defaultdict
from itertools import pairwise
from uuid import UUID

import msgspec

from shared.broker.interface import Message
from shared.broker.topology import lane_queue
from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import DeliveryState
from shared.delivery.outcomes import Accepted, Outcome, Retryable
from shared.delivery.provider import ProviderCall
from tests.fakes.delivery import People, ScriptedProvider, Templates
from tests.integration.delivery.conftest import OpenChannel
from tests.integration.delivery.scenes import PROBLEM, WELCOME, a_recipient, a_request

NOT_YET = Retryable(problem=PROBLEM, provider_at_fault=False)
"""Says nothing of the provider, whose breaker would open otherwise."""


class ThirdTimeLucky(ScriptedProvider):
    """Refuses the first two attempts of every message, and notes when each was made."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: dict[UUID, list[tuple[int, float]]] = defaultdict(list)

    async def send(self, call: ProviderCall[str]) -> Outcome:
        """By the number of the attempt."""
        self.attempts[call.notification_id].append((call.attempt, time.monotonic()))
        await asyncio.sleep(0.02)
        return NOT_YET if call.attempt < 3 else Accepted(provider_message_id=None)


async def test_copies_from_the_sweep_and_the_delay_queue_together_keep_attempts_in_order(
    open_channel: OpenChannel,
) -> None:
    ann, provider = a_recipient(), ThirdTimeLucky()
    processes = [await open_channel(People(ann), Templates(WELCOME), provider) for _ in range(2)]
    requests = [a_request(ann) for _ in range(10)]
    lane = lane_queue(Channel.PUSH, Lane.NORMAL)
    copies = [Message(route=lane, body=msgspec.json.encode(request)) for request in requests]
    await processes[0].broker.publish([*copies, *copies])
    for process in processes:
        process.intake(share=8).start()
    # What a sweep does with everything that it finds, only more often.
    sweeping = [
        asyncio.create_task(process.deliver(request, known=True))
        for _ in range(4)
        for process in processes
        for request in requests
    ]

    async with asyncio.timeout(30):
        while {row.state for request in requests for row in await processes[0].rows(request)} != {
            DeliveryState.SENT
        }:
            for process in processes:
                sweeping += [
                    asyncio.create_task(process.deliver(request, known=True)) for request in requests
                ]
            await asyncio.sleep(0.2)
    await asyncio.gather(*sweeping)

    for request in requests:
        made = provider.attempts[request.notification_id]
        assert [number for number, _ in made] == [1, 2, 3]
        waits_s = [later - earlier for (_, earlier), (_, later) in pairwise(made)]
        assert waits_s[0] >= 1.0
        assert waits_s[1] >= 2.0
        row = await processes[0].row(request)
        assert [attempt.number for attempt in row.attempts] == [1, 2, 3]
        assert [attempt.outcome for attempt in row.attempts] == ["retryable", "retryable", "accepted"]
