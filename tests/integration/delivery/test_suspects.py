"""Messages suspected of ending the process that handles them."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from shared.contracts.delivery import DeliveryKey, DeliveryRequested, DeliveryState
from shared.delivery.outcomes import Accepted, Outcome, Throttled, Unknown
from shared.delivery.recourse import Recourse
from shared.delivery.trial_records import Trial, TrialRecords
from shared.delivery.trials import SUSPECTED_FROM
from shared.delivery.worker import COME_BACK_LATER
from shared.process.metrics import REGISTRY
from tests.fakes.delivery import People, ScriptedProvider, Templates
from tests.integration.delivery.conftest import ChannelUnderTest, OpenChannel
from tests.integration.delivery.scenes import (
    PROBLEM,
    RETRYABLE,
    WELCOME,
    a_channel,
    a_recipient,
    a_request,
    until,
)


async def suspect(channel: ChannelUnderTest, request: DeliveryRequested) -> int | None:
    """As if the broker had handed it out for the third time."""
    raw = msgspec.json.encode(request)
    return await channel.trials.deliver(request, raw, times=SUSPECTED_FROM, known=True)


def key_of(request: DeliveryRequested) -> DeliveryKey:
    return DeliveryKey(notification_id=request.notification_id, run=request.run)


async def test_an_innocent_suspect_is_sent_and_leaves_no_trace(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    request = a_request(ann)

    assert await suspect(channel, request) is None

    assert (await channel.row(request)).state is DeliveryState.SENT
    records = TrialRecords(channel.database)
    assert await records.begin(key_of(request), token=uuid4(), hold=timedelta(0)) is Trial.BEGUN


async def test_a_suspect_is_handled_with_no_other_beside_it(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    channel.people.away = True
    neighbour, suspected = a_request(ann), a_request(ann)
    beside = asyncio.create_task(
        channel.trials.deliver(neighbour, msgspec.json.encode(neighbour), times=1, known=False)
    )
    await until(lambda: channel.people.asked >= 1)
    alone = asyncio.create_task(suspect(channel, suspected))
    await asyncio.sleep(0.3)
    assert await channel.rows(suspected) == []

    channel.people.away = False
    await asyncio.gather(beside, alone)

    assert [call.notification_id for call in channel.provider.calls] == [
        neighbour.notification_id,
        suspected.notification_id,
    ]


async def test_what_ended_its_process_while_it_was_alone_is_parked_and_not_tried_again(
    open_channel: OpenChannel,
) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    request = a_request(ann)
    records = TrialRecords(channel.database)
    # A process began, and nobody has heard of it since.
    assert await records.begin(key_of(request), token=uuid4(), hold=timedelta(0)) is Trial.BEGUN

    assert await suspect(channel, request) is None

    (parked,) = await channel.parked(1)
    assert parked.report.problem is not None
    assert parked.report.problem.kind == "message.poison"
    assert parked.request.notification_id == request.notification_id
    assert channel.provider.calls == []
    assert await records.begin(key_of(request), token=uuid4(), hold=timedelta(0)) is Trial.BEGUN


async def test_what_another_process_is_trying_is_left_to_it(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    request = a_request(ann)
    records = TrialRecords(channel.database)
    await records.begin(key_of(request), token=uuid4(), hold=timedelta(seconds=30))

    waiting = asyncio.create_task(suspect(channel, request))
    await asyncio.sleep(0.3)
    assert channel.provider.calls == []
    # Meanwhile others are served.
    other = a_request(ann)
    await channel.trials.deliver(other, msgspec.json.encode(other), times=1, known=False)
    await records.end(key_of(request))
    await waiting

    assert (await channel.row(request)).state is DeliveryState.SENT


async def test_a_second_copy_of_a_suspect_is_suspected_at_once(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    request = a_request(ann)
    records = TrialRecords(channel.database)
    await records.begin(key_of(request), token=uuid4(), hold=timedelta(seconds=30))
    waiting = asyncio.create_task(suspect(channel, request))
    await asyncio.sleep(0)

    copy = asyncio.create_task(
        channel.trials.deliver(request, msgspec.json.encode(request), times=1, known=False)
    )
    await asyncio.sleep(0.3)
    assert channel.provider.calls == []
    await records.end(key_of(request))
    await asyncio.gather(waiting, copy)

    assert len(channel.provider.calls) == 1


async def test_a_stop_in_the_middle_of_a_trial_is_no_death(open_channel: OpenChannel) -> None:
    ann, answer = a_recipient(), asyncio.Event()

    async def slow() -> Outcome:
        await answer.wait()
        return Accepted(provider_message_id=None)

    channel = await open_channel(People(ann), Templates(WELCOME), ScriptedProvider(slow))
    request = a_request(ann)
    trying = asyncio.create_task(suspect(channel, request))
    await until(lambda: len(channel.provider.calls) == 1)

    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    answer.set()
    await channel.caller.finish(grace_s=5)

    records = TrialRecords(channel.database)
    assert await records.begin(key_of(request), token=uuid4(), hold=timedelta(0)) is Trial.BEGUN
    assert (await channel.row(request)).state is DeliveryState.SENT


async def test_alone_nobody_who_is_away_is_waited_for(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    channel.people.away = True
    request = a_request(ann)

    assert await suspect(channel, request) == COME_BACK_LATER

    assert channel.people.asked == 1
    assert await channel.rows(request) == []


async def test_what_waits_in_the_hand_of_the_sweep_is_not_suspected(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await open_channel(People(ann), Templates(WELCOME), ScriptedProvider(RETRYABLE))
    request = a_request(ann)
    await channel.deliver(request)
    channel.people.away = True
    await channel.pass_time()
    for _ in range(SUSPECTED_FROM + 1):
        await channel.sweep.resume_overdue()
        async with channel.database.connection() as connection:
            # As if it had waited for longer than a sweep may keep it without a word.
            await connection.execute("UPDATE deliveries SET resumed_until = clock_timestamp()")

    channel.people.away = False

    await until(lambda: len(channel.provider.calls) == 2)
    assert isolated() == 0


def isolated() -> float:
    """How many suspects this process has had in the push channel, in this test."""
    return (
        REGISTRY.get_sample_value("carillon_messages_isolated_total", {"channel": "push"}) or 0
    ) - _before[0]


_before = [0.0]


@pytest.fixture(autouse=True)
def count_anew() -> None:
    """Metrics are the process's."""
    _before[0] = 0.0
    _before[0] = isolated()


async def test_what_the_sweep_takes_up_time_and_again_without_an_end_becomes_a_suspect(
    open_channel: OpenChannel,
) -> None:
    ann = a_recipient()
    channel = await open_channel(People(ann), Templates(WELCOME), ScriptedProvider(RETRYABLE))
    request = a_request(ann)
    await channel.deliver(request)
    taken = []
    for _ in range(SUSPECTED_FROM):
        # As processes that died with it would have left it.
        await channel.pass_time()
        rows = await channel.ledger.take_overdue(grace=timedelta(0), limit=10, hold=timedelta(seconds=20))
        taken += [row.resumed for row in rows]

    assert taken == [1, 2, 3]
    assert await channel.ledger.take_overdue(grace=timedelta(0), limit=10, hold=timedelta(0)) == []
    await channel.ledger.clear_overdue(key_of(request))
    await channel.pass_time()
    (row,) = await channel.ledger.take_overdue(grace=timedelta(0), limit=10, hold=timedelta(0))
    assert row.resumed == 1


async def test_what_a_sweep_has_handled_and_must_wait_is_not_counted_against_it(
    open_channel: OpenChannel,
) -> None:
    ann = a_recipient()
    channel = await open_channel(
        People(ann),
        Templates(WELCOME),
        ScriptedProvider(Unknown(problem=PROBLEM), recourse=Recourse(same_key=timedelta(hours=24))),
        ScriptedProvider(name="other"),
    )
    request = a_request(ann, category="promotional")
    await channel.deliver(request)
    await channel.pass_time()
    turn = channel.rota.try_turn_at("scripted")
    assert turn is not None
    channel.rota.finish(
        turn, Throttled(after_s=3600, problem=PROBLEM)
    )  # so the same key has to wait, however often the sweep looks

    await channel.sweep.resume_overdue()

    async with asyncio.timeout(10):
        while (await channel.row(request)).resumed:
            await asyncio.sleep(0.05)
    assert len(channel.provider.calls) == 1
