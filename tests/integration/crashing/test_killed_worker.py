"""A worker killed at every point of the way, time and again: nothing is lost, and nothing is sent twice in
silence. `CARILLON_TEST_ROUNDS=5` kills twenty times at each point, on both transports together."""

import os

import pytest

from shared.contracts.delivery import DeliveryState
from shared.process.crash_points import CrashPoint
from tests.integration.crashing.scene import End, Scene, eventually

KILLS_A_ROUND = 2
"""What was in hand at three deaths is under suspicion of causing them. Here the deaths are ours, so what they
leave is delivered before there is a third."""
ROUNDS = int(os.environ.get("CARILLON_TEST_ROUNDS", "1"))
ORDERED = ("transactional", "promotional", "security", "transactional")
LANES = ("urgent_concurrency", "normal_concurrency", "bulk_concurrency")
BEFORE_THE_CLAIM = (CrashPoint.MESSAGE_TAKEN, CrashPoint.MESSAGE_PREPARED)
IN_DOUBT = (CrashPoint.CLAIM_COMMITTED, CrashPoint.PROVIDER_ANSWERED)
AFTER_IT_IS_SETTLED = (
    CrashPoint.SETTLEMENT_COMMITTED,
    CrashPoint.OUTCOME_REPORTED,
    CrashPoint.MESSAGE_FINISHED,
)


@pytest.mark.parametrize("point", [*BEFORE_THE_CLAIM, *IN_DOUBT, *AFTER_IT_IS_SETTLED])
async def test_killed_time_and_again_it_loses_nothing_and_sends_nothing_twice_in_silence(
    scene: Scene, point: CrashPoint
) -> None:
    ends = await storm(scene, point, rounds=ROUNDS)

    assert len(ends) == ROUNDS * KILLS_A_ROUND * len(ORDERED)
    assert [end for end in ends if not is_honest(end)] == []
    if point in IN_DOUBT:
        assert sum(is_doubtful(end) for end in ends) >= ROUNDS * KILLS_A_ROUND


@pytest.mark.parametrize(
    ("point", "rounds"), [(CrashPoint.TARGETS_OPENED, ROUNDS), (CrashPoint.PROVIDER_ANSWERED, 1)]
)
async def test_killed_between_devices_it_sends_to_each_of_them(
    push_scene: Scene, point: CrashPoint, rounds: int
) -> None:
    # One call at a time in each lane, so that a death after the first leaves two devices uncalled.
    ends = await storm(push_scene, point, rounds=rounds, **dict.fromkeys(LANES, 1))

    assert len(ends) == rounds * KILLS_A_ROUND * len(ORDERED) * 3
    assert [end for end in ends if not is_honest(end)] == []


async def storm(scene: Scene, point: CrashPoint, *, rounds: int, **settings: int) -> list[End]:
    """Kill, time and again, with fresh messages in hand each time; how everything ended."""
    for number in range(rounds):
        for nth in range(1, KILLS_A_ROUND + 1):
            await scene.gateway.order(*ORDERED)
            # With a sweep it would also send again what earlier deaths left in doubt, and die in doubt again.
            await scene.worker(crash_at=f"{point}:{nth}", sweep_interval_s=60.0, **settings).dies()
            await eventually(scene.gateway.abandoned)
        survivor = scene.worker()
        await eventually(scene.gateway.taken_up, told=scene.gateway.told)
        if number == rounds - 1:
            await eventually(scene.gateway.all_ended, told=scene.gateway.told)
        await survivor.stop()
    return await scene.ends()


def is_doubtful(end: End) -> bool:
    """Whether the ledger says that it may have gone out unnoticed."""
    return end.row.possible_duplicate or end.row.state is DeliveryState.UNKNOWN


def is_honest(end: End) -> bool:
    """Whether it arrived as its category demands, and the ledger admits what it cannot know."""
    may_be_repeated = end.category != "promotional"
    if end.row.state is DeliveryState.UNKNOWN:
        return not may_be_repeated and end.copies <= 1
    if end.copies > 1 and not (may_be_repeated and end.row.possible_duplicate):
        return False
    return end.row.state is DeliveryState.SENT and end.copies >= 1
