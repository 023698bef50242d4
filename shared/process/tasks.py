"""Tasks that run for as long as the process does."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from shared.process.metrics import counter

log = structlog.get_logger()

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
_CALM_S = 30.0
_failures = counter("background_task_failures", "Times a background task ended with an exception", ("task",))


async def supervise(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` again and again until cancelled. One that returns or raises is logged and run again after
    a pause of 0.1 s, doubling up to 5 s, with jitter; a run of 30 s resets the pause."""
    pause_s = FIRST_PAUSE_S
    loop = asyncio.get_running_loop()
    failures = _failures.labels(name)  # from 0 on: a first rise from nothing is none to Prometheus
    while True:
        started = loop.time()
        try:
            await work()
            log.warning("task.ended", task=name)
        except Exception:
            failures.inc()
            log.exception("task.failed", task=name, pause_s=pause_s)
        if loop.time() - started > _CALM_S:
            pause_s = FIRST_PAUSE_S
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


class BackgroundTasks:
    """The supervised tasks of a process, ended together."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Supervise `work` from now until `close`."""
        self._tasks.append(asyncio.create_task(supervise(name, work), name=name))

    async def close(self) -> None:
        """Cancel all and wait until they have ended."""
        tasks, self._tasks = self._tasks, []
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
