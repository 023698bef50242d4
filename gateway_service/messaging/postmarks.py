"""Notes what the broker has taken, a moment after it did: most of it has been closed by a report by then,
and a note that nobody reads would cost PostgreSQL as much as the acceptance itself."""

import asyncio
import time
from collections.abc import Iterable, Sequence

import structlog

from gateway_service.storage.acceptance import HAND_OFF_GRACE_S
from gateway_service.storage.outbox import RunKey, mark_published
from shared.database.engine import Database
from shared.database.errors import DatabaseUnavailable

log = structlog.get_logger()

WAIT_S = 0.3
"""Far less than `HAND_OFF_GRACE_S`, after which the sweep publishes what has no note."""
GIVE_UP_S = HAND_OFF_GRACE_S
"""What somebody else is moving is tried again until then: mostly it is a report that closes the run."""
MAX_BATCH = 500
MAX_WAITING = 20_000
assert WAIT_S < HAND_OFF_GRACE_S / 4  # noqa: S101 - two numbers of two files that must fit


class Postmarks:
    """What is noted nowhere, since the process died or `MAX_WAITING` is reached, costs a second copy, which
    is harmless."""

    def __init__(self, database: Database, *, ask_after_s: float) -> None:
        self._database = database
        self._ask_after_s = ask_after_s
        self._waiting: dict[RunKey, float] = {}
        self._some = asyncio.Event()

    def add(self, keys: Iterable[RunKey], *, since: float) -> None:
        """The broker has these, from `since` on at the earliest (`time.monotonic()`)."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.update(dict.fromkeys(keys, since))
            self._some.set()

    def forget(self, keys: Iterable[RunKey]) -> None:
        """These runs are closed: there is nothing to note any more."""
        for key in keys:
            self._waiting.pop(key, None)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(WAIT_S / 3)
            await self.write(older_than_s=WAIT_S)
            if not self._waiting:
                self._some.clear()

    async def write(self, *, older_than_s: float = 0.0) -> None:
        """Note what has waited so long. Raises nothing: what cannot be noted now is dropped."""
        now = time.monotonic()
        aged = [key for key, since in self._waiting.items() if now - since >= older_than_s]
        for first in range(0, len(aged), MAX_BATCH):
            await self._note(aged[first : first + MAX_BATCH])

    async def _note(self, keys: Sequence[RunKey]) -> None:
        # They stay until they are noted: whoever stops in the middle notes them at the end.
        busy: set[RunKey] = set()
        try:
            async with self._database.transaction() as connection:
                waiting = {key: self._waiting[key] for key in keys if key in self._waiting}
                if waiting:
                    busy = await mark_published(
                        connection, waiting, monotonic=time.monotonic, ask_after_s=self._ask_after_s
                    )
        except DatabaseUnavailable:
            log.warning("release.not_marked", count=len(keys))
        except Exception:
            log.exception("release.not_marked", count=len(keys))
        given_up = time.monotonic() - GIVE_UP_S
        self.forget(key for key in keys if key not in busy or self._waiting.get(key, 0.0) < given_up)
