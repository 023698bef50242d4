"""Refusals leave the event loop to the work in hand."""

import asyncio
import itertools

import pytest

from shared.web.rounds import Rounds

LEAST, MOST = 32, 128


class Clock:
    """Each look at it is a round of the loop, which has taken so long."""

    def __init__(self, round_s: float) -> None:
        self.now = 0.0
        self._round_s = round_s

    def __call__(self) -> float:
        self.now += self._round_s
        return self.now


@pytest.mark.parametrize(
    ("round_s", "each"),
    # They take 50 µs each, and a third of the other time: 46 of 10 ms are 2.3 ms, a third of 7.7.
    [(0.0, LEAST), (0.001, LEAST), (0.010, 46), (0.020, 92), (10.0, MOST)],
)
async def test_so_many_pass_in_a_round_as_its_time_is_worth(round_s: float, each: int) -> None:
    rounds = Rounds(least=LEAST, most=MOST, monotonic=Clock(round_s))
    waiting = [asyncio.create_task(rounds.turn()) for _ in range(2000)]
    passed = [0]
    while passed[-1] < len(waiting):
        await asyncio.sleep(0)
        passed.append(sum(task.done() for task in waiting))

    steps = [later - now for now, later in itertools.pairwise(passed)]
    # The first round is not measured yet; it takes some more to find the balance; the last has what is left.
    assert steps[-6:-1] == pytest.approx([each] * 5, abs=1)
    assert max(steps) <= MOST


async def test_who_came_first_passes_first() -> None:
    rounds, order = Rounds(least=LEAST, most=MOST), list[int]()

    async def come(number: int) -> None:
        await rounds.turn()
        order.append(number)

    await asyncio.gather(*(come(number) for number in range(LEAST * 4)))

    assert order == sorted(order)


async def test_after_a_rest_nobody_waits() -> None:
    rounds = Rounds(least=LEAST, most=MOST)
    await asyncio.gather(*(rounds.turn() for _ in range(LEAST * 3)))
    for _ in range(3):
        await asyncio.sleep(0)

    turn = rounds.turn()
    with pytest.raises(StopIteration):
        turn.send(None)


async def test_who_goes_away_takes_nobody_elses_turn() -> None:
    rounds = Rounds(least=LEAST, most=MOST, monotonic=Clock(0.0))
    waiting = [asyncio.create_task(rounds.turn()) for _ in range(LEAST * 3)]
    await asyncio.sleep(0)
    for task in waiting[LEAST : LEAST * 2]:
        task.cancel()
    await asyncio.wait(waiting)

    assert sum(task.cancelled() for task in waiting) == LEAST
