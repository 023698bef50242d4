"""A worker that stands still for longer than its lease, and then goes on as if nothing had happened."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.contracts.delivery import DeliveryState
from tests.integration.crashing.scene import End, Scene, eventually
from tests.integration.crashing.service_process import ForkedProcess
from tests.integration.crashing.sink import Hold, Sink, Stage

CATEGORIES = ("transactional", "promotional")
SAME_ROW = """
INSERT INTO deliveries (notification_id, run, target, targets, state, correlation_id)
VALUES ($1, 1, $2, 1, 'pending', 'crashing')
"""
CLAIMS_THAT_WAIT = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO deliveries%'
"""


@pytest.mark.parametrize("broker_url", ["postgres"], indirect=True)  # nothing in it is the broker's
async def test_woken_after_its_lease_a_worker_sends_nothing_twice_in_silence(
    scene: Scene, sink: Sink
) -> None:
    """It is frozen with mails at every moment of a call; a second worker settles them; then it wakes, and
    finds in its sockets the answers that it was waiting for."""
    # Patient with the database, so that it finds its claim granted however late.
    sleeper = scene.worker(smtp_timeout_s=6.0, database_timeout_s=60.0)
    holds: list[Hold] = []
    ordered: dict[Stage, list[UUID]] = {}
    for stage in Stage:
        waiting = [sink.hold_next(stage) for _ in CATEGORIES]
        ordered[stage] = await scene.gateway.order(*CATEGORIES)
        for hold in waiting:
            await hold.reached()
        holds += waiting
    await freeze_between_claim_and_call(scene, sleeper)

    second = scene.worker()
    await eventually(scene.gateway.all_ended, told=scene.gateway.told)
    for hold in holds:
        hold.release()
    sleeper.wake()
    # It ends what it has in hand before it goes.
    await sleeper.stop()
    await second.stop()

    assert not scene.gateway.parked
    ends = await scene.ends()
    assert len(ends) == len(CATEGORIES) * len(Stage) + 1
    for end in ends:
        was_taken = end.row.key.notification_id in ordered[Stage.TAKEN]
        assert is_as_it_should_be(end, was_taken=was_taken), end


async def freeze_between_claim_and_call(scene: Scene, worker: ForkedProcess) -> None:
    """With a promotional mail. Its claim has to wait, since somebody has written the same row; once the
    worker is frozen that is undone, and the claim is granted."""
    order = uuid4()
    # All go to the same address.
    target = next(row.key.target for rows in (await scene.gateway.rows()).values() for row in rows)
    connection = await asyncpg.connect(scene.settings.database_url)
    watching = await asyncpg.connect(scene.settings.database_url)

    async def waits() -> bool:
        return bool(await watching.fetchval(CLAIMS_THAT_WAIT))

    async def is_claimed() -> bool:
        return [row.state for row in (await scene.gateway.rows())[order]] == [DeliveryState.SENDING]

    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(SAME_ROW, order, target)
        await scene.gateway.order("promotional", order_id=order)
        await eventually(waits, told=scene.gateway.told)
        worker.freeze()
        await transaction.rollback()
        await eventually(is_claimed, told=scene.gateway.told)
    finally:
        await connection.close()
        await watching.close()


def is_as_it_should_be(end: End, *, was_taken: bool) -> bool:
    """What the server had taken before counts once; what was not yet handed over, the sleeper never sends."""
    if end.category != "promotional":
        expected = (DeliveryState.SENT, True, 2 if was_taken else 1)
        return (end.row.state, end.row.possible_duplicate, end.copies) == expected
    possible = {DeliveryState.UNKNOWN, DeliveryState.SENT} if was_taken else {DeliveryState.UNKNOWN}
    return end.row.state in possible and end.copies == int(was_taken)
