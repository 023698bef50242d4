"""Places, and the lines before them."""

import asyncio

import pytest

from shared.web.places import Line, Places


async def waiting(places: Places, line: Line | None = None, *, count: int = 1) -> asyncio.Task[bool]:
    """Somebody who stands in the line by now."""
    line = line or places.single
    before = len(line.waiting)
    task = asyncio.create_task(places.take(line, count))
    while len(line.waiting) == before:
        assert not task.done()
        await asyncio.sleep(0)
    return task


async def test_a_place_goes_to_who_waits_longest_and_to_bulk_last() -> None:
    places = Places(places=4, wait_s=60)
    assert await places.take(places.single, 4)
    bulk = await waiting(places, places.bulk)
    first, second = await waiting(places), await waiting(places)
    for now, later in ((first, second), (second, bulk)):
        places.leave(places.single, 1)
        assert await now
        assert not later.done()
    places.leave(places.single, 1)
    assert await bulk


async def test_nobody_overtakes_who_needs_several_places() -> None:
    places = Places(places=4, wait_s=60)
    assert await places.take(places.single, 3)
    large = await waiting(places, count=4)
    small = await waiting(places)
    places.leave(places.single, 3)
    assert await large
    assert not small.done()
    places.leave(places.single, 4)
    assert await small


async def test_nobody_of_another_kind_does_so_either() -> None:
    places = Places(places=8, wait_s=60)
    assert await places.take(places.single, 8)
    large, stranger = await waiting(places, count=4), await waiting(places, places.strangers)
    places.leave(places.single, 2)
    assert places.strangers.taken == 0
    places.leave(places.single, 2)
    assert await large
    places.leave(places.single, 1)
    assert await stranger


async def test_strangers_who_wait_for_their_own_do_not_hold_up_others() -> None:
    places = Places(places=8, wait_s=60)
    assert await places.take(places.strangers, places.strangers.most)
    stranger = await waiting(places, places.strangers)
    assert await places.take(places.single, 8 - places.strangers.most)
    bulk = await waiting(places, places.bulk)
    places.leave(places.single, 1)
    assert await bulk
    assert not stranger.done()
    places.leave(places.strangers, 1)
    assert await stranger


async def test_waiting_is_short_and_after_it_was_in_vain_nobody_waits_for_a_while() -> None:
    places = Places(places=1, wait_s=0.01)
    assert await places.take(places.single, 1)
    assert not await (await waiting(places))
    began = asyncio.get_running_loop().time()
    refused = asyncio.create_task(places.take(places.single, 1))
    await asyncio.sleep(0)
    assert refused.done()
    assert not refused.result()
    assert places.single.in_vain_until > began
    places.leave(places.single, 1)
    assert await places.take(places.single, 1)


async def test_no_more_wait_than_could_be_in_hand() -> None:
    places = Places(places=2, wait_s=60)
    assert await places.take(places.single, 2)
    line = [await waiting(places), await waiting(places)]
    assert not await places.take(places.single, 1)
    for task in line:
        task.cancel()
    await asyncio.gather(*line, return_exceptions=True)
    assert not places.single.waiting


async def test_who_leaves_the_line_as_a_place_comes_gives_it_to_the_next() -> None:
    places = Places(places=2, wait_s=60)
    assert await places.take(places.single, 2)
    gone, next_one = await waiting(places), await waiting(places)
    places.leave(places.single, 1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await next_one
    assert places.single.taken == 2
