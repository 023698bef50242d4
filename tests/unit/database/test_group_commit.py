"""The promises of GroupCommit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from shared.database.errors import CommitUnknown, DatabaseUnavailable, Overloaded
from shared.database.group_commit import GroupCommit
from shared.process.metrics import REGISTRY


class Table:
    """Writes a group whole or not at all; refuses `bad` items, as a constraint would."""

    def __init__(self, *, bad: frozenset[int] = frozenset()) -> None:
        self.bad = bad
        self.groups: list[list[int]] = []
        self.tried: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.writing = 0
        self.most_writing = 0
        self.error: Exception | None = None

    @property
    def rows(self) -> list[int]:
        """Everything written, in order."""
        return [item for group in self.groups for item in group]

    async def flush(self, items: list[int]) -> list[str]:
        """Write a group."""
        self.tried.append(items)
        self.writing += 1
        self.most_writing = max(self.most_writing, self.writing)
        try:
            await self.gate.wait()
            if self.error is not None:
                raise self.error
            culprits = self.bad.intersection(items)
            if culprits:
                raise ValueError(f"refused {sorted(culprits)}")
            self.groups.append(items)
            return [f"row {item}" for item in items]
        finally:
            self.writing -= 1


@asynccontextmanager
async def commits(
    flush: Callable[[list[int]], Awaitable[list[str]]],
    *,
    max_batch: int = 200,
    max_wait_s: float = 0.0,
    concurrency: int = 2,
    max_pending: int = 10_000,
) -> AsyncIterator[GroupCommit[int, str]]:
    """One that is started and closed."""
    group_commit = GroupCommit(
        flush,
        name="test",
        max_batch=max_batch,
        max_wait_s=max_wait_s,
        concurrency=concurrency,
        max_pending=max_pending,
    )
    await group_commit.start()
    try:
        yield group_commit
    finally:
        await group_commit.close()


async def settle() -> None:
    """Let everything that can run, run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_arrives_together_is_written_together() -> None:
    table = Table()
    async with commits(table.flush) as group_commit:
        results = await asyncio.gather(*(group_commit.submit(item) for item in range(50)))
    assert results == [f"row {item}" for item in range(50)]
    assert table.groups == [list(range(50))]


async def test_a_full_group_does_not_wait() -> None:
    table = Table()
    async with commits(table.flush, max_batch=3, max_wait_s=3600) as group_commit:
        async with asyncio.timeout(5):
            await asyncio.gather(*(group_commit.submit(item) for item in range(3)))
    assert table.groups == [[0, 1, 2]]


async def test_groups_keep_the_order_of_arrival_and_their_bound() -> None:
    table = Table()
    async with commits(table.flush, max_batch=7, concurrency=1) as group_commit:
        await asyncio.gather(*(group_commit.submit(item) for item in range(40)))
    assert table.rows == list(range(40))
    assert max(map(len, table.groups)) == 7


async def test_at_most_so_many_groups_are_written_at_once() -> None:
    table = Table()
    table.gate.clear()
    async with commits(table.flush, max_batch=1, concurrency=2) as group_commit:
        callers = [asyncio.create_task(group_commit.submit(item)) for item in range(10)]
        await settle()
        assert table.writing == 2
        table.gate.set()
        await asyncio.gather(*callers)
    assert table.most_writing == 2


async def test_while_groups_are_written_the_next_one_grows() -> None:
    table = Table()
    table.gate.clear()
    async with commits(table.flush, concurrency=1) as group_commit:
        first = asyncio.create_task(group_commit.submit(0))
        await asyncio.sleep(0.01)
        rest = [asyncio.create_task(group_commit.submit(item)) for item in range(1, 30)]
        await settle()
        assert table.tried == [[0]]
        table.gate.set()
        await asyncio.gather(first, *rest)
    assert table.groups == [[0], list(range(1, 30))]


@pytest.mark.parametrize("bad", [{0}, {49}, {17}, {3, 4, 31}, set(range(50))])
async def test_only_the_culprits_fail(bad: set[int]) -> None:
    table = Table(bad=frozenset(bad))
    async with commits(table.flush) as group_commit:
        results = await asyncio.gather(
            *(group_commit.submit(item) for item in range(50)), return_exceptions=True
        )
    for item, result in enumerate(results):
        if item in bad:
            assert isinstance(result, ValueError)
            assert str(result) == f"refused [{item}]"
        else:
            assert result == f"row {item}"
    assert sorted(table.rows) == sorted(set(range(50)) - bad)


async def test_one_culprit_in_200_costs_few_writes() -> None:
    table = Table(bad=frozenset({123}))
    async with commits(table.flush) as group_commit:
        await asyncio.gather(*(group_commit.submit(item) for item in range(200)), return_exceptions=True)
    assert len(table.tried) <= 17


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), CommitUnknown("lost")])
async def test_an_absent_database_is_told_to_all_and_not_asked_again(error: DatabaseUnavailable) -> None:
    table = Table()
    table.error = error
    async with commits(table.flush) as group_commit:
        results = await asyncio.gather(
            *(group_commit.submit(item) for item in range(8)), return_exceptions=True
        )
    assert [type(result) for result in results] == [type(error)] * 8
    assert len({id(result) for result in results}) == 8
    assert len(table.tried) == 1


class Uncopyable(Exception):
    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


async def test_an_error_that_cannot_be_copied_reaches_its_culprit_all_the_same() -> None:
    async def flush(items: list[int]) -> list[str]:
        raise Uncopyable("no", "way")

    async with asyncio.timeout(5), commits(flush) as group_commit:
        results = await asyncio.gather(*(group_commit.submit(n) for n in range(3)), return_exceptions=True)

    assert [type(result) for result in results] == [Uncopyable] * 3


async def test_a_cancelled_caller_disturbs_nobody() -> None:
    table = Table()
    table.gate.clear()
    async with commits(table.flush) as group_commit:
        callers = [asyncio.create_task(group_commit.submit(item)) for item in range(5)]
        await asyncio.sleep(0.01)
        assert table.tried == [[0, 1, 2, 3, 4]]
        callers[2].cancel()
        await settle()
        table.gate.set()
        results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[2], asyncio.CancelledError)
    assert [results[item] for item in (0, 1, 3, 4)] == ["row 0", "row 1", "row 3", "row 4"]


async def test_who_is_cancelled_before_the_group_closes_writes_nothing() -> None:
    table = Table()
    async with commits(table.flush, max_wait_s=0.02) as group_commit:
        callers = [asyncio.create_task(group_commit.submit(item)) for item in range(3)]
        await settle()
        callers[1].cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    assert table.rows == [0, 2]


async def test_too_many_waiting_are_refused_and_the_others_written() -> None:
    table = Table()
    table.gate.clear()
    async with commits(table.flush, max_batch=1, concurrency=1, max_pending=3) as group_commit:
        callers = [asyncio.create_task(group_commit.submit(item)) for item in range(4)]
        await settle()
        assert group_commit.pending == 3
        with pytest.raises(Overloaded):
            await group_commit.submit(99)
        table.gate.set()
        assert await asyncio.gather(*callers) == ["row 0", "row 1", "row 2", "row 3"]


async def test_close_writes_what_waits_and_takes_no_more() -> None:
    table = Table()
    group_commit = GroupCommit(table.flush, name="test", max_wait_s=3600, max_batch=10, concurrency=1)
    await group_commit.start()
    callers = [asyncio.create_task(group_commit.submit(item)) for item in range(25)]
    await settle()
    await group_commit.close()
    assert await asyncio.gather(*callers) == [f"row {item}" for item in range(25)]
    with pytest.raises(Overloaded):
        await group_commit.submit(0)


async def test_a_flush_that_miscounts_is_an_error_for_all() -> None:
    async def miscounting(_items: list[int]) -> list[str]:
        return []

    async with commits(miscounting) as group_commit:
        results = await asyncio.gather(group_commit.submit(1), group_commit.submit(2), return_exceptions=True)
    assert [type(result) for result in results] == [RuntimeError, RuntimeError]


def measured(name: str) -> dict[str, float]:
    """What the metrics say of the groups of this name."""
    series = ("seconds_count", "items_sum", "waited_seconds_total", "seconds_sum")
    found = {
        each: REGISTRY.get_sample_value(f"carillon_group_commit_{each}", {"group": name}) for each in series
    }
    return {each: value or 0.0 for each, value in found.items()}


async def test_each_written_group_is_measured_once_and_every_item_s_wait_is_in_it() -> None:
    table = Table()
    group_commit = GroupCommit(table.flush, name="measured", max_batch=3, max_wait_s=3600)
    await group_commit.start()
    await asyncio.gather(*(group_commit.submit(item) for item in range(6)))
    await group_commit.close()
    found = measured("measured")
    assert (found["seconds_count"], found["items_sum"]) == (2, 6)
    # The first of a group waits longest: the three of each cannot have waited more than three times that.
    assert 0 < found["waited_seconds_total"] <= 3 * found["seconds_sum"]


async def test_what_could_not_be_written_is_in_no_measurement() -> None:
    table = Table(bad=frozenset({1}))
    group_commit = GroupCommit(table.flush, name="partly_measured", max_batch=2)
    await group_commit.start()
    await asyncio.gather(*(group_commit.submit(item) for item in range(2)), return_exceptions=True)
    await group_commit.close()
    found = measured("partly_measured")
    assert (found["seconds_count"], found["items_sum"]) == (1, 1)
