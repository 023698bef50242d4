"""Group commit: requests that arrive within a few milliseconds share one statement and one COMMIT."""

import asyncio
import copy
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.database.errors import DatabaseError, DatabaseUnavailable, Overloaded
from shared.process.metrics import counter, histogram

T = TypeVar("T")
R = TypeVar("R")

# One observation for each group and none for each item: on the hot path an item costs a reading of the clock.
_SECONDS = histogram(
    "group_commit_seconds",
    "From a group's first item to the end of its writing",
    ("group",),
    (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
_ITEMS = histogram(
    "group_commit_items", "Items written together", ("group",), (1, 2, 5, 10, 20, 50, 100, 200)
)
_WAITED = counter(
    "group_commit_waited_seconds", "All items' waits to be written, added up, gathering included", ("group",)
)


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T, R]):
    item: T
    result: asyncio.Future[R]
    since: float


class GroupCommit(Generic[T, R]):
    """Gathers items and writes them in groups, first come, first written.

    `flush` writes a group atomically, all of it or nothing, and returns one result for each item, in
    order. Where it raises anything but a DatabaseError, the group is halved until the culprit stands
    alone, and only the culprit gets the exception. A DatabaseError goes to the whole (half) group: it says
    nothing about its items.

    A group is closed `max_wait_s` after its first item, or at `max_batch` items; at most `concurrency`
    groups are being written at once, and while they are, the next one grows.

    In the metrics it is known by `name`; what could not be written is not in them.
    """

    def __init__(
        self,
        flush: Callable[[list[T]], Awaitable[list[R]]],
        *,
        name: str,
        max_batch: int = 200,
        max_wait_s: float = 0.006,
        concurrency: int = 2,
        max_pending: int = 10_000,
    ) -> None:
        self._flush = flush
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._concurrency = concurrency
        self._max_pending = max_pending
        self._pending: deque[_Waiting[T, R]] = deque()
        self._writing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._open = False
        self._seconds, self._items = _SECONDS.labels(name), _ITEMS.labels(name)
        self._waited = _WAITED.labels(name)

    async def start(self) -> None:
        """Take items from now on."""
        self._open = True

    async def close(self) -> None:
        """Take no more items, and return once all that were taken are written or have failed."""
        self._open = False
        self._write_next()
        while self._writing:
            await asyncio.wait(self._writing)

    @property
    def pending(self) -> int:
        """How many items wait for their group to be written."""
        return len(self._pending)

    async def submit(self, item: T) -> R:
        """Have `item` written, and return its result once it is. A caller that is cancelled before its
        group is closed writes nothing; after that the write goes on without it.

        Raises Overloaded (nothing was written), DatabaseUnavailable, and whatever `flush` raises for this
        very item."""
        if not self._open:
            raise Overloaded("shutting down")
        if len(self._pending) >= self._max_pending:
            raise Overloaded(f"{self._max_pending} items wait to be written")
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._pending.append(_Waiting(item, result, time.monotonic()))
        if len(self._pending) >= self._max_batch:
            self._write_next()
        elif self._timer is None and len(self._writing) < self._concurrency:
            self._timer = asyncio.get_running_loop().call_later(self._max_wait_s, self._write_next)
        return await result

    def _write_next(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._pending and len(self._writing) < self._concurrency:
            group = self._take_group()
            if not group:
                return
            task = asyncio.create_task(self._write(group), name="group-commit")
            self._writing.add(task)
            task.add_done_callback(self._written)

    def _take_group(self) -> list[_Waiting[T, R]]:
        group: list[_Waiting[T, R]] = []
        while self._pending and len(group) < self._max_batch:
            waiting = self._pending.popleft()
            if not waiting.result.done():
                group.append(waiting)
        return group

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        # What has gathered meanwhile has waited long enough.
        self._write_next()

    async def _write(self, group: list[_Waiting[T, R]]) -> None:
        try:
            results = await self._flush([waiting.item for waiting in group])
        except DatabaseError as error:
            _fail(group, error)
        except Exception as error:
            if len(group) == 1:
                _fail(group, error)
                return
            middle = len(group) // 2
            await self._write(group[:middle])
            await self._write(group[middle:])
        except BaseException:
            # The loop is being torn down; nobody can know what became of the write.
            _fail(group, DatabaseUnavailable("the process stopped in the middle of the write"))
            raise
        else:
            if len(results) != len(group):
                _fail(group, RuntimeError(f"flush gave {len(results)} results for {len(group)} items"))
                return
            self._observe(group)
            for waiting, result in zip(group, results, strict=True):
                if not waiting.result.done():
                    waiting.result.set_result(result)

    def _observe(self, group: list[_Waiting[T, R]]) -> None:
        now = time.monotonic()
        self._seconds.observe(now - group[0].since)
        self._items.observe(len(group))
        self._waited.inc(now * len(group) - sum(waiting.since for waiting in group))


def _fail(group: list[_Waiting[T, R]], error: Exception) -> None:
    for waiting in group:
        if not waiting.result.done():
            waiting.result.set_exception(_own(error))


def _own(error: Exception) -> Exception:
    """An instance for one waiter: raising the same one in many tasks would chain their tracebacks. An error
    that cannot be copied (one whose constructor takes more than its arguments) is shared all the same."""
    try:
        own = copy.copy(error)
    except TypeError:
        return error
    own.__cause__ = error.__cause__
    return own
