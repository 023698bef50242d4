"""One message in a hundred ends whoever handles it: the others are sent, and it is parked."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from email_service.settings import EmailSettings
from shared.contracts.delivery import DeliveryParked, DeliveryState
from tests.integration.crashing.poison import DEADLY, PARALYSING, create_poisonable_app
from tests.integration.crashing.scene import Scene
from tests.integration.crashing.service_process import start_process

WITHIN_S = 150.0


async def supervise(settings: EmailSettings, *, log: Path, until: Callable[[], Awaitable[bool]]) -> int:
    """One worker after the other, as a supervisor starts them; how many died."""
    worker, deaths = start_process(settings, log=log, create_app=create_poisonable_app), 0
    try:
        async with asyncio.timeout(WITHIN_S):
            while not await until():
                if not worker.is_alive:
                    worker.remove()
                    worker, deaths = (
                        start_process(settings, log=log, create_app=create_poisonable_app),
                        deaths + 1,
                    )
                await asyncio.sleep(0.05)
        return deaths
    finally:
        worker.remove()


@pytest.mark.parametrize(
    ("broker_url", "messages"),
    [("postgres", 100), ("rabbitmq", 200)],
    indirect=["broker_url"],
    ids=["postgres", "rabbitmq"],
)
async def test_one_in_a_hundred_that_kills_or_hangs_its_worker_is_parked_and_the_others_are_sent(
    scene: Scene, messages: int, tmp_path: Path
) -> None:
    poison = [PARALYSING, *[DEADLY] * (messages // 100 - 1)] if messages > 100 else [DEADLY]
    names = ["Ann"] * (messages - len(poison)) + poison
    random.Random(4).shuffle(names)
    poisonous = set()
    for name in names:
        (ordered,) = await scene.gateway.order("transactional", name=name)
        if name != "Ann":
            poisonous.add(ordered)
    assert isinstance(scene.settings, EmailSettings)
    settings = scene.settings.model_copy(update={"stall_limit_s": 2.0, "normal_concurrency": 3})

    def parked() -> dict[UUID, str | None]:
        """Why, by notification; repeated until the gateway's receipt, which nobody gives here."""
        found = (msgspec.json.decode(body, type=DeliveryParked).report for body in scene.gateway.parked)
        return {
            report.notification_id: None if report.problem is None else report.problem.kind
            for report in found
        }

    async def over() -> bool:
        if len(parked()) < len(poisonous):
            return False
        rows = await scene.gateway.rows()
        return all(
            of_one and of_one[0].state is DeliveryState.SENT
            for notification_id, of_one in rows.items()
            if notification_id not in poisonous
        )

    deaths = await supervise(settings, log=tmp_path / "log", until=over)

    assert parked() == dict.fromkeys(poisonous, "message.poison")
    innocent = [end for end in await scene.ends() if end.row.key.notification_id not in poisonous]
    assert len(innocent) == messages - len(poisonous)
    assert [end for end in innocent if end.copies > 1 and not end.row.possible_duplicate] == []
    assert all(end.copies >= 1 for end in innocent)
    # Twice in company and once alone, at most; those that were in hand together died together.
    assert 3 <= deaths <= 3 * len(poisonous)
