"""Finding out from the API where everything stands, with as few requests as it takes."""

import asyncio
import math
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from carillon.prove.witness.accounts import TERMINAL, Findings, Shown
from carillon.prove.witness.history import History
from carillon.prove.witness.public_api import PAGE, PublicApi

_EARLIER = timedelta(minutes=1)
"""Of clocks that do not quite agree, and of ids that are made before they are stored."""
_MOST_SUSPECTS = 200


class Reading:
    """Fills `found`, whatever interrupts it. `requests_per_s` bounds all requests but those of
    looks through the pages, which go from one page to the next."""

    def __init__(self, api: PublicApi, told: History, *, requests_per_s: float) -> None:
        self._api = api
        self._told = told
        self._gap_s = 1 / requests_per_s
        self._accepted_t = {
            each: story.accepted_t
            for story in told.stories.values()
            for each in story.ids
            if story.accepted_t is not None
        }
        self.found = Findings()

    async def look_through(self) -> None:
        """Every page of this run, then by id what was not on them. Raises as PublicApi does."""
        if self._told.first_t is None:
            self.found.read_whole = True
            return
        self.found.read_whole = False
        since = datetime.fromtimestamp(self._told.first_t, UTC) - _EARLIER
        async for page in self._api.newest_first(created_after=since):
            self._take(page)
        self.found.read_whole = True
        for story in self._told.stories.values():
            for each in story.ids:
                if each not in self.found.shown:
                    await self._ask_one(each)

    async def look_for_late_comers(self, *, since: datetime) -> None:
        """What was stored while it looked through the pages. Raises as PublicApi does."""
        self.found.read_whole = False
        async for page in self._api.newest_first(created_after=since - _EARLIER):
            self._take(page)
        self.found.read_whole = True

    async def follow(self, *, stuck_after_s: float) -> None:
        """Ask again for what is open, until all is at its end, and once more when it has had its time. Raises
        as PublicApi does."""
        while opened := self._open():
            had_their_time = not any(self._has_time(each, stuck_after_s=stuck_after_s) for each in opened)
            first = min(each.created_at for each in opened)
            last = max(each.created_at for each in opened) + timedelta(milliseconds=1)
            between = sum(first <= each.created_at < last for each in self.found.shown.values())
            if 2 * math.ceil(between / PAGE) <= len(opened):
                async for page in self._api.newest_first(created_after=first, created_before=last):
                    self._take(page)
                    await asyncio.sleep(self._gap_s)
            else:
                for each in opened:
                    await self._ask_one(each.id)
            if had_their_time:
                return

    async def ask_again(self, marks: Collection[str]) -> None:
        """About those marks, of the first 200 of them. Raises as PublicApi does."""
        by_mark = self.found.by_mark()
        for mark in list(marks)[:_MOST_SUSPECTS]:
            story = self._told.stories.get(mark)
            ids = {each.id for each in by_mark.get(mark, [])}
            for each in ids.union(story.ids if story is not None else ()):
                await self._ask_one(each)

    def _open(self) -> list[Shown]:
        ours = self._told.stories.keys()
        return [
            each
            for each in self.found.shown.values()
            if each.status not in TERMINAL and (each.mark in ours or each.id in self._accepted_t)
        ]

    def _has_time(self, shown: Shown, *, stuck_after_s: float) -> bool:
        since = self._accepted_t.get(shown.id, shown.created_at.timestamp())
        return time.time() < max(since, self._told.last_fault_t) + stuck_after_s

    async def _ask_one(self, notification_id: str) -> None:
        shown = await self._api.one(notification_id)
        if shown is None:
            self.found.shown.pop(notification_id, None)
            self.found.missing.add(notification_id)
        else:
            self._take([shown])
        await asyncio.sleep(self._gap_s)

    def _take(self, page: Collection[Shown]) -> None:
        self.found.shown.update((each.id, each) for each in page)
        self.found.missing.difference_update(each.id for each in page)
