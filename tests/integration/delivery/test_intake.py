"""From a lane of the broker to the end of each message there."""

import asyncio

import msgspec
import pytest

from shared.broker.factory import connect_broker
from shared.broker.interface import Message
from shared.broker.topology import FAILED_QUEUE, lane_queue
from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import DeliveryState
from tests.fakes.delivery import People, ScriptedProvider, Templates
from tests.integration.delivery.conftest import OpenChannel
from tests.integration.delivery.scenes import RETRYABLE, WELCOME, a_recipient, a_request, until

LANE = lane_queue(Channel.PUSH, Lane.NORMAL)


async def test_a_message_is_delivered_retried_and_leaves_the_lane(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await open_channel(People(ann), Templates(WELCOME), ScriptedProvider(RETRYABLE))
    request = a_request(ann)
    await channel.broker.publish([Message(route=LANE, body=msgspec.json.encode(request))])
    intake = channel.intake()

    intake.start()

    await until(lambda: len(channel.provider.calls) == 2)
    states = [report.state for report in await channel.reports(2)]
    assert states == [DeliveryState.RETRYING, DeliveryState.SENT]
    await intake.close()
    assert (await channel.broker.queue_state(LANE)).depth == 0


@pytest.mark.parametrize(
    "body",
    [b"rubbish", b"\xff{}", b'{"type":"delivery.requested.v9"}', b"[" * 100_000],
    ids=["no JSON", "no UTF-8", "of another version", "nested too deep"],
)
async def test_what_cannot_be_decoded_is_parked_byte_for_byte(open_channel: OpenChannel, body: bytes) -> None:
    ann = a_recipient()
    channel = await open_channel(People(ann), Templates(WELCOME), ScriptedProvider())
    intake = channel.intake()
    intake.start()

    await channel.broker.publish([Message(route=LANE, body=body)] * 20)

    assert await channel.take(FAILED_QUEUE, 20) == [body] * 20
    await channel.broker.publish([Message(route=LANE, body=msgspec.json.encode(a_request(ann)))])
    await until(lambda: len(channel.provider.calls) == 1)
    await intake.close()


async def test_a_stop_hands_back_what_is_not_begun(
    open_channel: OpenChannel, second_database_url: str
) -> None:
    ann = a_recipient()
    channel = await open_channel(People(ann), Templates(WELCOME), ScriptedProvider())
    channel.people.away = True
    body = msgspec.json.encode(a_request(ann))
    await channel.broker.publish([Message(route=LANE, body=body)])
    own = connect_broker(second_database_url, client_name="stopping")
    await own.start(wait_s=5)
    shared_broker, channel.broker = channel.broker, own
    stopping = channel.intake()
    channel.broker = shared_broker
    stopping.start()
    await until(lambda: channel.people.asked >= 1)

    async with asyncio.timeout(10):
        await stopping.close()
        await own.close()

    assert channel.provider.calls == []
    channel.people.away = False
    following = channel.intake()
    following.start()
    await until(lambda: len(channel.provider.calls) == 1)
    await following.close()
