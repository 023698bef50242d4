"""Who is taken in hand, who waits, and who is refused."""

import asyncio
import itertools
import json
from collections import Counter
from contextlib import AsyncExitStack
from uuid import UUID

import pytest
from starlette.types import Message, Scope

from shared.web.admission import BEGUN_A_ROUND, BYTES_A_PLACE
from shared.web.refusals import MOST_A_ROUND, Refusal, Refusals
from tests.unit.web.door import BULK, LARGEST, PAGE, a_door, rounds


async def test_who_finds_no_place_is_told_so_before_a_byte_of_the_body_is_read() -> None:
    door = await a_door(places=4)
    async with door.holding(4):
        read = door.bodies_read
        told = await door.ask(x_correlation_id="mine")
        another = await door.ask()
        assert door.bodies_read == read
    assert (told.status, told.kind) == (503, "overloaded")
    assert told.headers["content-type"] == "application/problem+json"
    assert told.headers["x-correlation-id"] == "mine"
    problem = json.loads(told.body)
    assert (problem["correlation_id"], problem["instance"]) == ("mine", "/one")
    assert UUID(another.headers["x-correlation-id"]).version == 7
    assert await door.takes()


async def test_those_who_are_refused_together_are_not_told_to_come_back_together() -> None:
    door = await a_door(places=1)
    async with door.holding(1):
        told = await asyncio.gather(*(door.ask() for _ in range(200)))
    assert {answer.headers["retry-after"] for answer in told} == {"1", "2", "3"}


async def test_a_thousand_refusals_take_several_rounds_and_leave_them_to_the_work_in_hand() -> None:
    door = await a_door(places=1)
    async with door.holding(1):
        asked = [asyncio.create_task(door.ask()) for _ in range(1000)]
        done = [0]
        while done[-1] < len(asked):
            await asyncio.sleep(0)
            done.append(sum(task.done() for task in asked))
    assert max(later - now for now, later in itertools.pairwise(done)) <= MOST_A_ROUND
    assert {task.result().status for task in asked} == {503}


async def test_those_who_come_together_do_not_begin_in_one_round() -> None:
    few, many = 50, 100
    door = await a_door(places=3 * few)
    asked = [asyncio.create_task(door.ask()) for _ in range(many)]
    begun = [0]
    while begun[-1] < many:
        await asyncio.sleep(0)
        begun.append(len(door.in_hand))
    steps = [later - now for now, later in itertools.pairwise(begun)]
    assert max(steps) <= few + BEGUN_A_ROUND, "as long as there are few nobody waits"
    assert sum(step <= BEGUN_A_ROUND for step in steps) >= (many - few) / BEGUN_A_ROUND
    for one in door.in_hand:
        one.set_result(None)
    assert {(await task).status for task in asked} == {202}


async def test_batches_hold_a_quarter_and_leave_the_rest_to_others() -> None:
    door = await a_door(places=8)
    async with door.holding(2, BULK):
        assert (await door.ask(BULK)).status == 503
        async with door.holding(6):
            assert (await door.ask()).status == 503
        assert await door.takes()
    assert await door.takes(BULK)


async def test_one_caller_takes_all_but_the_last_places_where_nobody_else_needs_them() -> None:
    door = await a_door(places=16, per_caller=4)
    async with door.holding(14, who="ann"):
        told = await door.told(who="ann")
        assert (told.status, told.kind) == (429, "too_many_at_once")
        assert told.headers["retry-after"] in ("1", "2", "3")
        async with door.holding(2, who="bob"):
            assert (await door.told(who="bob")).status == 503
    async with door.holding(12, who="ann"), door.holding(4, who="bob"):
        pass
    async with door.holding(3, who="ann"), door.holding(11, who="bob"):
        assert await door.takes(who="ann"), "who is within the limit has the last places, too"


async def test_an_account_is_one_caller_with_all_its_tokens() -> None:
    door = await a_door(places=8, per_caller=3)
    assert await door.takes(who="ann/second token")
    async with door.holding(7, who="ann"):
        assert (await door.told(who="ann/second token")).status == 429


async def test_strangers_of_an_address_are_one_caller_whatever_they_bring() -> None:
    door = await a_door(places=32, per_caller=24)
    async with AsyncExitStack() as stack:
        for number in range(11):
            await stack.enter_async_context(door.holding(1, who=f"bogus {number}"))
        for who in ("bogus late", "", "carl"):
            assert (await door.told(who=who)).status == 429
        assert await door.takes(who="carl", client="192.0.2.2")
        assert await door.takes(who="carl"), "known by now"


async def test_strangers_leave_half_of_the_places_to_those_who_are_known() -> None:
    door = await a_door(places=16)
    async with AsyncExitStack() as stack:
        for number in range(8):
            path = BULK if number < 2 else "/one"
            await stack.enter_async_context(door.holding(1, path, who="", client=f"192.0.2.{number}"))
        told = await door.told(who="", client="192.0.2.100")
        assert (told.status, told.kind) == (503, "overloaded")
        assert (await door.told(BULK, who="", client="192.0.2.100")).status == 503
        async with door.holding(2, BULK), door.holding(6):
            pass


@pytest.mark.parametrize(("who", "path"), [("bogus", "/one"), ("carl", "/public"), ("", "/one")])
async def test_who_is_not_vouched_for_stays_a_stranger(who: str, path: str) -> None:
    door = await a_door(places=8)
    assert await door.takes(path, who=who)
    async with door.holding(2, who="", client="192.0.2.2"), door.holding(1, who=""):
        assert (await door.told(who=who)).status in (429, 503)


async def test_credentials_that_are_no_longer_good_are_a_strangers_again() -> None:
    door = await a_door(places=8)
    async with door.holding(2, who="", client="192.0.2.2"), door.holding(1, who=""):
        assert await door.takes(who="ann")
        task = asyncio.create_task(door.ask(who="ann"))
        await rounds()
        door.revoked.add("ann")
        door.in_hand[-1].set_result(None)
        assert (await task).status == 401
        assert (await door.told(who="ann")).status in (429, 503)


async def test_who_brings_good_credentials_in_a_cookie_is_not_locked_out_by_strangers() -> None:
    door = await a_door(places=8)
    assert await door.takes(PAGE, who="eve")
    async with door.holding(2, who="", client="192.0.2.2"), door.holding(1, who=""):
        assert await door.takes(PAGE, who="eve")
        assert not await door.takes(PAGE, who="nobody we know")
        assert not await door.takes(who="nobody we know", cookie="eve"), "no cookie counts there"
        door.revoked.add("eve")
        assert (await door.told(PAGE, who="eve")).status == 303
        assert not await door.takes(PAGE, who="eve"), "the cookie is no longer good"


async def test_many_at_once_with_new_credentials_wait_for_what_the_first_is_told() -> None:
    door = await a_door(places=16)
    tasks = [asyncio.create_task(door.ask(who="carl")) for _ in range(12)]
    await rounds()
    assert len(door.in_hand) == 5
    assert not any(task.done() for task in tasks)
    door.in_hand[0].set_result(None)
    await rounds()
    assert len(door.in_hand) == 11
    for one in door.in_hand:
        one.set_result(None)
    assert [(await task).status for task in tasks] == [202] * 12


async def test_many_at_once_with_bad_credentials_are_refused_as_the_first_is() -> None:
    door = await a_door(places=16)
    tasks = [asyncio.create_task(door.ask(who="bogus")) for _ in range(40)]
    await rounds()
    refused_at_once = 40 - 5 - 16
    assert sum(task.done() for task in tasks) == refused_at_once, "no more wait than there are places"
    door.in_hand[0].set_result(None)
    await rounds()
    assert sum(task.done() for task in tasks) == 40 - 4
    for one in door.in_hand:
        one.set_result(None)
    assert Counter([(await task).status for task in tasks]) == {401: 5, 429: 35}


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/docs", "/docs/swagger-ui.css"])
async def test_who_watches_is_always_answered(path: str) -> None:
    door = await a_door(places=1, per_caller=1)
    async with door.holding(1):
        assert await door.takes(path)
        assert (await door.ask(path, content_length="2")).status in (429, 503)


@pytest.mark.parametrize(
    ("announced", "chunks", "places"),
    [
        ({"content_length": str(LARGEST)}, [b"", b"x"], 1),
        ({"transfer_encoding": "chunked"}, [bytes(BYTES_A_PLACE)], 1),
        ({"content_length": str(3 * BYTES_A_PLACE)}, [bytes(BYTES_A_PLACE), b"x"], 4),
        ({"content_length": str(LARGEST * 100)}, [bytes(BYTES_A_PLACE), b"x"], 17),
        ({"transfer_encoding": "chunked"}, [bytes(BYTES_A_PLACE), b"x"], 17),
    ],
)
async def test_a_body_takes_more_places_once_it_is_large(
    announced: dict[str, str], chunks: list[bytes], places: int
) -> None:
    door = await a_door(places=20)
    async with door.holding(1, chunks=chunks, **announced), door.holding(20 - places):
        assert not await door.takes()
    async with door.holding(20):
        pass


async def test_a_body_that_grows_too_large_for_what_is_left_is_refused_and_leaves_its_place() -> None:
    door = await a_door(places=20)
    chunks = [bytes(BYTES_A_PLACE), b"x", b"y"]
    async with door.holding(4):
        assert (await door.ask(transfer_encoding="chunked", chunks=chunks)).status == 503
    async with door.holding(20):
        pass


async def test_what_needs_more_than_there_is_gets_in_alone() -> None:
    door = await a_door(places=4)
    chunks = [bytes(LARGEST)]
    async with door.holding(1, content_length=str(LARGEST), chunks=chunks):
        assert not await door.takes()


async def test_a_request_that_fails_leaves_its_place() -> None:
    door = await a_door(places=1)
    task = asyncio.create_task(door.ask())
    await rounds()
    door.in_hand[0].set_exception(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        await task
    assert await door.takes()


async def test_what_is_left_of_a_large_body_is_dropped_before_the_connection_is_closed() -> None:
    door = await a_door(places=1)
    async with door.holding(1):
        small = await door.ask(content_length="100")
        read = door.bodies_read
        large = await door.ask(transfer_encoding="chunked", chunks=[b"a", b"b", b"c"])
    assert "connection" not in small.headers
    assert (large.status, large.kind, large.headers["connection"]) == (503, "overloaded", "close")
    assert door.bodies_read - read == 3


async def test_a_refused_body_that_never_ends_is_waited_for_no_longer_than_any_other() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "path": "/one", "headers": []}
    await Refusals(body_s=0.01).answer(Refusal.FULL, scope, receive, send, body_bytes=LARGEST)
    start, whole, end = sent
    assert int(dict(start["headers"])[b"content-length"]) == len(whole["body"]) > 0
    assert (whole["more_body"], end["body"], end["more_body"]) == (True, b"", False)
