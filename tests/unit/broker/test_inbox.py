"""Handing out: in order, bounded, and not while paused."""

import asyncio
from itertools import chain

from shared.broker.inbox import Inbox


def a_full_inbox(*, prefetch: int, holding: int) -> Inbox[int]:
    inbox: Inbox[int] = Inbox(prefetch=prefetch)
    for number in range(holding):
        assert inbox.put(number)
    return inbox


async def test_no_more_than_prefetch_are_out_even_when_more_wait() -> None:
    inbox = a_full_inbox(prefetch=2, holding=3)
    assert [await anext(inbox), await anext(inbox)] == [0, 1]
    third = asyncio.ensure_future(anext(inbox))
    await asyncio.sleep(0)
    assert not third.done()

    inbox.finished()

    assert await third == 2


async def test_room_is_what_is_neither_out_nor_waiting() -> None:
    inbox = a_full_inbox(prefetch=5, holding=2)
    await anext(inbox)
    assert inbox.room == 3

    inbox.pause()
    assert inbox.room == 0
    inbox.resume()
    inbox.finished()
    assert inbox.room == 4


async def test_one_that_may_give_out_two_gives_out_two_and_has_room_for_as_many() -> None:
    inbox = a_full_inbox(prefetch=5, holding=0)
    inbox.resume(at_most=2)
    assert inbox.room == 2
    for number in range(3):
        inbox.put(number)

    assert [await anext(inbox), await anext(inbox)] == [0, 1]

    third = asyncio.ensure_future(anext(inbox))
    await asyncio.sleep(0)
    assert not third.done()
    assert inbox.room == 0
    inbox.resume(at_most=1)
    assert await third == 2


async def test_a_paused_inbox_waits_for_resume() -> None:
    inbox = a_full_inbox(prefetch=5, holding=1)
    inbox.pause()
    waiting = asyncio.ensure_future(anext(inbox))
    await asyncio.sleep(0)
    assert not waiting.done()

    inbox.resume()

    assert await waiting == 0


async def test_several_readers_share_without_losing_or_repeating() -> None:
    inbox = a_full_inbox(prefetch=100, holding=0)

    async def read() -> list[int]:
        return [number async for number in inbox]

    readers = [asyncio.ensure_future(read()) for _ in range(3)]
    for number in range(30):
        inbox.put(number)
        await asyncio.sleep(0)
    inbox.close()

    assert sorted(chain.from_iterable(await asyncio.gather(*readers))) == list(range(30))


async def test_closing_returns_what_was_never_out_and_ends_the_reading() -> None:
    inbox = a_full_inbox(prefetch=5, holding=3)
    await anext(inbox)

    assert inbox.close() == [1, 2]
    assert not inbox.put(9)
    assert [number async for number in inbox] == []
