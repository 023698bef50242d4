"""What the template client keeps, for how long, and what it does while the service is away."""

import asyncio

import msgspec
import pytest

from shared.clients.peer import PeerUnavailable
from shared.clients.templates import TemplateClient
from shared.contracts.delivery import TemplatePublished
from tests.builders import a_template_version
from tests.unit.templates.conftest import FakeBroker, TemplateServer, Time


async def version_of(client: TemplateClient, code: str = "welcome") -> int | None:
    """The number of what is released."""
    template = await client.released(code, "en")
    return None if template is None else template.version


async def test_release_is_asked_for_once_a_second_without_broadcasts(
    alone: TemplateClient, server: TemplateServer, time_s: Time
) -> None:
    for _ in range(3):
        assert await version_of(alone) == 1
    assert server.asked == 1
    server.publish(2)
    time_s.now_s += 1.01
    assert await version_of(alone) == 2


async def test_release_is_kept_while_broadcasts_come(
    subscribed: TemplateClient, server: TemplateServer, time_s: Time
) -> None:
    assert await version_of(subscribed) == 1
    time_s.now_s += 29
    assert await version_of(subscribed) == 1
    assert server.asked == 1
    time_s.now_s += 2
    assert await version_of(subscribed) == 1
    assert server.asked == 2


async def test_broadcast_ends_what_is_kept_of_its_template_alone(
    subscribed: TemplateClient, server: TemplateServer, broker: FakeBroker
) -> None:
    server.releases["other"] = a_template_version(code="other")
    await version_of(subscribed)
    await version_of(subscribed, "other")
    server.publish(2)
    await broker.say(msgspec.json.encode(TemplatePublished(code="welcome")))
    assert await version_of(subscribed) == 2
    await version_of(subscribed, "other")
    assert server.asked == 3


@pytest.mark.parametrize("body", [b"not json", b'{"type":"else.v1"}', b"[]"])
async def test_other_broadcasts_are_none_of_its_business(
    subscribed: TemplateClient, server: TemplateServer, broker: FakeBroker, body: bytes
) -> None:
    await version_of(subscribed)
    await broker.say(body)
    assert await version_of(subscribed) == 1
    assert server.asked == 1


async def test_everything_is_asked_anew_after_a_gap(
    subscribed: TemplateClient, server: TemplateServer, broker: FakeBroker
) -> None:
    await version_of(subscribed)
    server.publish(2)
    await broker.say(None)
    assert await version_of(subscribed) == 2


async def test_release_is_kept_for_a_second_only_once_the_broker_is_lost(
    subscribed: TemplateClient, server: TemplateServer, broker: FakeBroker, time_s: Time
) -> None:
    await version_of(subscribed)
    broker.is_away = True
    await asyncio.wait_for(broker.closed.wait(), 2)
    server.publish(2)
    time_s.now_s += 1.01
    assert await version_of(subscribed) == 2


async def test_answer_that_was_under_way_during_a_publish_is_not_kept(
    subscribed: TemplateClient, server: TemplateServer, broker: FakeBroker
) -> None:
    server.gate = asyncio.Event()
    before = asyncio.create_task(version_of(subscribed))
    while server.asked == 0:
        await asyncio.sleep(0)
    server.publish(2)
    await broker.say(msgspec.json.encode(TemplatePublished(code="welcome")))
    after = asyncio.create_task(version_of(subscribed))
    while server.asked == 1:
        await asyncio.sleep(0)
    server.gate.set()
    assert (await before, await after) == (1, 2)
    assert await version_of(subscribed) == 2


async def test_many_at_once_ask_once(alone: TemplateClient, server: TemplateServer) -> None:
    assert await asyncio.gather(*(version_of(alone) for _ in range(50))) == [1] * 50
    assert server.asked == 1


async def test_caller_that_gives_up_leaves_the_answer_to_the_others(
    alone: TemplateClient, server: TemplateServer
) -> None:
    server.gate = asyncio.Event()
    impatient, patient = (asyncio.create_task(version_of(alone)) for _ in range(2))
    while server.asked == 0:
        await asyncio.sleep(0)
    impatient.cancel()
    server.gate.set()
    assert await patient == 1


async def test_unknown_template_is_asked_for_again_after_a_second(
    subscribed: TemplateClient, server: TemplateServer, time_s: Time
) -> None:
    assert await version_of(subscribed, "new") is None
    assert await version_of(subscribed, "new") is None
    assert server.asked == 1
    server.releases["new"] = a_template_version(code="new")
    time_s.now_s += 1.01
    assert await version_of(subscribed, "new") == 1


async def test_release_serves_on_while_the_service_is_away(
    alone: TemplateClient, server: TemplateServer, time_s: Time
) -> None:
    assert await version_of(alone) == 1
    server.is_away = True
    for passed_s in (2, 100, 190):
        time_s.now_s += passed_s
        assert await version_of(alone) == 1
    time_s.now_s += 10
    with pytest.raises(PeerUnavailable):
        await version_of(alone)


async def test_release_is_true_again_soon_after_the_service_is_back(
    alone: TemplateClient, server: TemplateServer, time_s: Time
) -> None:
    await version_of(alone)
    server.is_away = True
    time_s.now_s += 2
    await version_of(alone)
    server.is_away = False
    server.publish(2)
    await version_of(alone)  # asks behind the caller's back
    while server.asked < 3:
        await asyncio.sleep(0)
    await alone._flights.join(("welcome", "en"), lambda: alone._renew(("welcome", "en")))
    assert await version_of(alone) == 2


async def test_unknown_release_is_unavailable_while_the_service_is_away(
    alone: TemplateClient, server: TemplateServer, time_s: Time
) -> None:
    server.is_away = True
    with pytest.raises(PeerUnavailable):
        await version_of(alone)
    with pytest.raises(PeerUnavailable):
        await version_of(alone)
    assert server.asked == 1  # not asked again within the second
    server.is_away = False
    time_s.now_s += 1.01
    assert await version_of(alone) == 1


async def test_a_service_that_hangs_counts_as_away_before_its_call_has_timed_out(
    impatient: TemplateClient, server: TemplateServer, time_s: Time
) -> None:
    server.releases["other"] = a_template_version(code="other")
    assert await version_of(impatient) == 1
    server.gate = asyncio.Event()
    time_s.now_s += 2
    for _ in range(10):
        assert await version_of(impatient) == 1
        await asyncio.sleep(0)
    for _ in range(10):
        with pytest.raises(PeerUnavailable):
            await version_of(impatient, "other")
        await asyncio.sleep(0)
    assert server.asked == 2  # as that one has not ended, nobody asks again
    server.publish(2)
    server.gate.set()
    time_s.now_s += 2
    assert await version_of(impatient, "other") == 1


async def test_version_is_kept_for_good(alone: TemplateClient, server: TemplateServer, time_s: Time) -> None:
    assert await alone.version("welcome", 1) is not None
    server.is_away = True
    time_s.now_s += 10_000
    assert await alone.version("welcome", 1) is not None
    with pytest.raises(PeerUnavailable):
        await alone.version("welcome", 2)


async def test_released_version_need_not_be_asked_for_by_number(
    alone: TemplateClient, server: TemplateServer
) -> None:
    await version_of(alone)
    assert await alone.version("welcome", 1) is not None
    assert server.asked == 1
