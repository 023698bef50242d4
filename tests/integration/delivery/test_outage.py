"""While no provider of a channel can be called consumption pauses, no attempt is spent, nothing is parked."""

import asyncio
import time
from itertools import pairwise

import msgspec

from shared.broker.interface import Message
from shared.broker.presence import Presence
from shared.broker.topology import FAILED_QUEUE, lane_queue
from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import DeliveryRequested, DeliveryState
from shared.delivery.lanes import HOLD_S, Lanes
from shared.delivery.outcomes import Accepted, Outcome, Throttled
from shared.delivery.rota import Passage
from shared.process.metrics import REGISTRY
from tests.fakes.delivery import People, ScriptedProvider, Templates
from tests.integration.delivery.conftest import ChannelUnderTest, OpenChannel
from tests.integration.delivery.scenes import PROBLEM, RETRYABLE, WELCOME, a_recipient, a_request, until

LANE = lane_queue(Channel.PUSH, Lane.NORMAL)


class Time:
    """A clock in the test's hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def presence() -> float | None:
    """What the metric says of the lane's consumer."""
    return REGISTRY.get_sample_value("carillon_broker_consumer", {"queue": LANE})


async def publish(channel: ChannelUnderTest, *requests: DeliveryRequested) -> None:
    messages = [Message(route=LANE, body=msgspec.json.encode(request)) for request in requests]
    assert all(receipt.error is None for receipt in await channel.broker.publish(messages))


async def states(channel: ChannelUnderTest, requests: list[DeliveryRequested]) -> set[DeliveryState]:
    return {row.state for request in requests for row in await channel.rows(request)}


async def test_fifty_messages_at_half_open_make_one_probe_and_go_out_after_it(
    open_channel: OpenChannel,
) -> None:
    ann, clock, answer = a_recipient(), Time(), asyncio.Event()

    async def probed() -> Outcome:
        await answer.wait()
        return Accepted(provider_message_id="probe")

    provider = ScriptedProvider(*[RETRYABLE] * 5, probed)
    channel = await open_channel(People(ann), Templates(WELCOME), provider, monotonic=clock)
    first = [a_request(ann) for _ in range(5)]
    await asyncio.gather(*(channel.deliver(request) for request in first))
    assert channel.rota.passage is Passage.BLOCKED
    intake = channel.intake(share=8)
    intake.start()
    waiting = [a_request(ann) for _ in range(50)]
    await publish(channel, *waiting)
    await asyncio.sleep(0.5)
    assert len(provider.calls) == 5
    assert not any([await channel.rows(request) for request in waiting])

    clock.now += 60
    await until(lambda: len(provider.calls) == 6)
    await asyncio.sleep(0.7)  # several looks at a breaker that is half open
    assert len(provider.calls) == 6
    answer.set()

    await until(lambda: len(provider.calls) == 55)
    await intake.close()
    rows = [await channel.row(request) for request in waiting]
    assert {row.state for row in rows} == {DeliveryState.SENT}
    assert {row.attempt for row in rows} == {1}


async def test_an_outage_of_one_channel_leaves_its_messages_in_the_queue(open_channel: OpenChannel) -> None:
    ann, passage, clock = a_recipient(), [Passage.BLOCKED], Time()
    channel = await open_channel(People(ann), Templates(WELCOME), ScriptedProvider())
    lanes = Lanes(
        channel.broker,
        channel=Channel.PUSH,
        shares=dict.fromkeys(Lane, 2),
        passage=lambda: passage[0],
        monotonic=clock,
    )
    lanes.open()
    await lanes.look()
    await until(lambda: presence() == Presence.HELD)
    taken: list[bytes] = []

    async def take() -> None:
        async for delivery in lanes.deliveries(Lane.NORMAL):
            taken.append(delivery.body)
            await delivery.ack()

    taking = asyncio.create_task(take())
    await publish(channel, *(a_request(ann) for _ in range(10)))
    await asyncio.sleep(0.5)
    assert taken == []

    passage[0] = Passage.ONE_PROBE
    for _ in Lane:
        await lanes.look()
        await asyncio.sleep(0.3)
    await until(lambda: len(taken) == 1)
    passage[0] = Passage.BLOCKED
    await lanes.look()

    clock.now += HOLD_S + 1
    await lanes.look()
    state = await channel.broker.queue_state(LANE)
    assert (state.depth, state.consumers) == (9, 0)
    assert lanes.alive
    assert presence() == Presence.LET_GO
    # From now on a lane holds one message at most, and keeps it through the next probes.
    passage[0] = Passage.ONE_PROBE
    for _ in Lane:
        await lanes.look()
        await asyncio.sleep(0.3)
    await until(lambda: len(taken) == 2)
    passage[0] = Passage.BLOCKED
    await lanes.look()
    await lanes.look()
    state = await channel.broker.queue_state(LANE)
    assert (state.depth, state.consumers) == (7, 1) or (state.depth, state.consumers) == (8, 1)

    passage[0] = Passage.FREE
    await lanes.look()
    await until(lambda: len(taken) == 10)
    assert presence() == Presence.HELD
    await lanes.close()
    await taking
    assert presence() is None


async def test_a_storm_of_429_is_waited_out_and_nothing_is_parked(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    calm_at = [0.0]
    refused: list[float] = []

    async def storm() -> Outcome:
        if time.monotonic() >= calm_at[0]:
            return Accepted(provider_message_id=None)
        refused.append(time.monotonic())
        return Throttled(after_s=1.5, problem=PROBLEM)

    provider = ScriptedProvider(*[storm] * 1000)
    channel = await open_channel(People(ann), Templates(WELCOME), provider)
    requests = [a_request(ann) for _ in range(120)]
    await publish(channel, *requests)
    calm_at[0] = time.monotonic() + 2.0
    intake = channel.intake(share=8)
    intake.start()
    sweeping = asyncio.create_task(channel.sweep.run())

    async with asyncio.timeout(40):
        while not all([await channel.rows(request) for request in requests]) or await states(
            channel, requests
        ) != {DeliveryState.SENT}:
            await asyncio.sleep(0.2)
    sweeping.cancel()
    await intake.close()

    # Calls that were under way at the first refusal may be refused, too; then there is none for 1.5 s.
    waves = [refused[0]]
    for at in refused:
        if at - waves[-1] > 0.5:
            waves.append(at)
    assert all(later - earlier >= 1.5 for earlier, later in pairwise(waves))
    assert (await channel.broker.queue_state(FAILED_QUEUE)).depth == 0
    rows = [await channel.row(request) for request in requests]
    assert all(row.attempts[-1].outcome == "accepted" for row in rows)
    assert {attempt.outcome for row in rows for attempt in row.attempts} == {"accepted", "throttled"}


async def test_what_failed_goes_to_the_next_healthy_provider_in_turn(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    providers = [ScriptedProvider(RETRYABLE, RETRYABLE, name=name) for name in ("first", "second", "third")]
    channel = await open_channel(People(ann), Templates(WELCOME), *providers)
    request = a_request(ann)

    await channel.deliver(request)
    for _ in range(3):
        await channel.pass_time()
        await channel.deliver(request, known=True)

    row = await channel.row(request)
    assert [attempt.provider for attempt in row.attempts] == ["first", "second", "third", "first"]


async def test_a_probe_that_a_library_cancels_does_not_shut_the_channel_for_good(
    open_channel: OpenChannel,
) -> None:
    ann, clock = a_recipient(), Time()

    async def cancelled() -> Outcome:
        raise asyncio.CancelledError

    provider = ScriptedProvider(*[RETRYABLE] * 5, cancelled)
    channel = await open_channel(People(ann), Templates(WELCOME), provider, monotonic=clock)
    await asyncio.gather(*(channel.deliver(a_request(ann)) for _ in range(5)))
    clock.now += 60
    probe = a_request(ann)

    await channel.deliver(probe)

    assert (await channel.row(probe)).attempts[-1].outcome == "unknown"
    clock.now += 60
    assert channel.rota.passage is Passage.ONE_PROBE


async def test_while_nobody_can_be_called_the_sweep_takes_nothing_up_and_then_one_to_probe(
    open_channel: OpenChannel,
) -> None:
    ann, clock = a_recipient(), Time()
    channel = await open_channel(
        People(ann), Templates(WELCOME), ScriptedProvider(*[RETRYABLE] * 5), monotonic=clock
    )
    requests = [a_request(ann) for _ in range(5)]
    await asyncio.gather(*(channel.deliver(request) for request in requests))
    await channel.pass_time()

    await channel.sweep.resume_overdue()
    assert {(await channel.row(request)).resumed for request in requests} == {0}
    clock.now += 60
    await channel.sweep.resume_overdue()

    await until(lambda: len(channel.provider.calls) == 6)
    await asyncio.sleep(0.3)
    assert len(channel.provider.calls) == 6
