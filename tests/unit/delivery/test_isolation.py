"""Who is let in beside whom."""

import asyncio
from contextlib import AbstractAsyncContextManager

from shared.delivery.isolation import Isolation


class Guest:
    """Goes in when it may, and out when it is told."""

    def __init__(self, room: AbstractAsyncContextManager[None]) -> None:
        self._room = room
        self._out = asyncio.Event()
        self.inside = False
        self.task = asyncio.create_task(self._visit())

    async def _visit(self) -> None:
        async with self._room:
            self.inside = True
            await self._out.wait()
            self.inside = False

    async def leave(self) -> None:
        """Out."""
        self._out.set()
        await asyncio.gather(self.task, return_exceptions=True)
        await settled()

    async def give_up(self) -> None:
        """Cancelled, wherever it is."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.inside = False
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_others_share_and_a_suspect_waits_until_all_are_out() -> None:
    isolation = Isolation()
    one, two = Guest(isolation.together()), Guest(isolation.together())
    suspect = Guest(isolation.alone())
    await settled()
    assert (one.inside, two.inside, suspect.inside) == (True, True, False)

    await one.leave()
    assert not suspect.inside
    await two.leave()

    assert suspect.inside
    await suspect.leave()


async def test_nobody_goes_in_beside_a_suspect_or_overtakes_one_that_waits() -> None:
    isolation = Isolation()
    first = Guest(isolation.together())
    await settled()
    suspect, late = Guest(isolation.alone()), Guest(isolation.together())
    await settled()
    assert not late.inside

    await first.leave()
    assert (suspect.inside, late.inside) == (True, False)
    await suspect.leave()

    assert late.inside
    await late.leave()


async def test_between_two_suspects_those_who_came_meanwhile_have_their_turn() -> None:
    isolation = Isolation()
    suspects = [Guest(isolation.alone()), Guest(isolation.alone())]
    others = [Guest(isolation.together()), Guest(isolation.together())]
    await settled()
    assert suspects[0].inside

    await suspects[0].leave()
    assert [guest.inside for guest in (*others, suspects[1])] == [True, True, False]
    for guest in others:
        await guest.leave()

    assert suspects[1].inside
    await suspects[1].leave()


async def test_who_gives_up_keeps_nobody_waiting() -> None:
    isolation = Isolation()
    inside = Guest(isolation.together())
    await settled()
    suspect, waiting = Guest(isolation.alone()), Guest(isolation.together())
    await settled()

    await suspect.give_up()
    assert waiting.inside
    another = Guest(isolation.alone())
    await settled()
    await inside.give_up()
    await waiting.give_up()

    assert another.inside
    await another.give_up()
    last = Guest(isolation.alone())
    await settled()
    assert last.inside
    await last.leave()


async def test_who_is_let_in_and_cancelled_at_the_same_moment_is_out_again() -> None:
    isolation = Isolation()
    first = Guest(isolation.alone())
    await settled()
    second = Guest(isolation.alone())
    await settled()
    first._out.set()
    await first.task
    second.task.cancel()  # let in by now, and not yet awake
    await asyncio.gather(second.task, return_exceptions=True)

    third = Guest(isolation.together())
    await settled()

    assert third.inside
    await third.leave()
