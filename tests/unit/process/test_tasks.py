"""The promises of background tasks, time and identifiers."""

import asyncio
import random
from datetime import UTC

import pytest

from shared.process import tasks
from shared.process.clock import SystemClock
from shared.process.correlation import (
    bind_correlation_id,
    bound_correlation_id,
    correlation_id,
    correlation_scope,
    is_sane,
    new_correlation_id,
)
from shared.process.identifiers import uuid7
from shared.process.metrics import exposition
from shared.process.tasks import BackgroundTasks, supervise


async def test_work_that_fails_or_ends_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    runs: list[int] = []
    enough = asyncio.Event()
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real_sleep(0)

    async def work() -> None:
        runs.append(len(runs))
        if len(runs) > 12:
            enough.set()
            await asyncio.Event().wait()
        if len(runs) % 2:
            raise RuntimeError("again")

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    task = asyncio.create_task(supervise("demo", work))
    async with asyncio.timeout(5):
        await enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, *[tasks.LONGEST_PAUSE_S] * 6]


async def test_the_failures_of_a_task_are_counted_from_nought_so_that_the_first_is_seen() -> None:
    background = BackgroundTasks()
    background.start("never_failed", asyncio.Event().wait)  # type: ignore[arg-type] # it returns nothing of use
    await asyncio.sleep(0)
    assert b'carillon_background_task_failures_total{task="never_failed"} 0.0' in exposition()
    await background.close()


async def test_close_ends_all_and_waits_for_their_last_words() -> None:
    said: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            said.append("goodbye")

    background = BackgroundTasks()
    for name in ("one", "two"):
        background.start(name, work)
    await asyncio.sleep(0)
    await background.close()
    await background.close()
    assert said == ["goodbye", "goodbye"]


async def test_a_task_keeps_the_id_it_made_and_tells_nobody_else() -> None:
    async def work() -> tuple[str, str]:
        return correlation_id(), correlation_id()

    (first, again), (second, _) = await asyncio.gather(
        asyncio.create_task(work()), asyncio.create_task(work())
    )
    assert first == again
    assert first != second


async def test_a_scope_ends() -> None:
    async def work() -> None:
        bind_correlation_id("outer")
        with correlation_scope("inner"):
            assert correlation_id() == "inner"
        assert correlation_id() == "outer"

    before = bound_correlation_id()
    await asyncio.create_task(work())
    assert bound_correlation_id() == before
    assert is_sane(new_correlation_id())


def test_identifiers_are_uuid7_in_order() -> None:
    made = [uuid7() for _ in range(10_000)]
    assert {identifier.version for identifier in made} == {7}
    assert made == sorted(set(made))


def test_the_clock_is_aware_and_in_utc() -> None:
    assert SystemClock().now().tzinfo is UTC
