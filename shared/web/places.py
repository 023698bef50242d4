"""Places for what is in hand, and the short lines before them: first come, first served, bulk last.

Bulk has a part of the places at most, and so have strangers: whose credentials were not seen to be good yet.
"""

import asyncio
from collections import OrderedDict

BULK_SHARE = 4
"""Bulk holds one place in so many at most."""
STRANGERS_SHARE = 2
"""Strangers hold one in so many, and of those for bulk, too."""
_LAST_SHARE = 8
"""The last of so many is for those who hold few."""
_BUSY_SHARE = 3
"""Busy is where one in so many is taken."""
_IN_VAIN_FOR_S = 1.0


class Line:
    """Requests of one kind: the places they hold, and those who wait for some. What is held is held of
    `within`, too."""

    def __init__(self, most: int, *, within: "Line | None" = None) -> None:
        self.most = most
        self.taken = 0
        self.waiting: OrderedDict[asyncio.Future[bool], int] = OrderedDict()
        self.in_vain_until = 0.0
        self._within = within

    def has_room(self, count: int) -> bool:
        """For so many more."""
        room = self.taken + count <= self.most
        return room and (self._within is None or self._within.has_room(count))

    def few_are_left(self, count: int) -> bool:
        """After so many more."""
        return self.most - self.taken - count < max(1, self.most // _LAST_SHARE)

    @property
    def is_busy(self) -> bool:
        """Whether so many are in hand that they get into each other's way."""
        return self.taken > self.most // _BUSY_SHARE

    def add(self, count: int) -> None:
        """So many more are taken, or less."""
        self.taken += count
        if self._within is not None:
            self._within.add(count)

    def taken_places(self) -> float:
        """For the metrics."""
        return self.taken

    def those_who_wait(self) -> float:
        """For the metrics."""
        return len(self.waiting)


class Places:
    """Who is in hand and who waits. All in one event loop."""

    def __init__(self, *, places: int, wait_s: float) -> None:
        self._wait_s = wait_s
        self.all = Line(places)
        self.single = Line(places, within=self.all)
        self.bulk = Line(max(1, places // BULK_SHARE), within=self.all)
        self.bulk_of_strangers = Line(max(1, self.bulk.most // STRANGERS_SHARE), within=self.bulk)
        others_of_strangers = places // STRANGERS_SHARE - self.bulk_of_strangers.most
        self.strangers = Line(max(1, others_of_strangers), within=self.all)
        self._by_turn = (self.single, self.strangers, self.bulk, self.bulk_of_strangers)

    async def take(self, line: Line, count: int) -> bool:
        """Whether `count` places are had, at once or after a wait; then `leave` has to follow. No more wait
        than could ever be in hand, and nobody for a second after somebody waited in vain: these are told
        at once."""
        ahead = line.waiting or self.single.waiting
        if not ahead and line.has_room(count):
            line.add(count)
            return True
        loop = asyncio.get_running_loop()
        if len(line.waiting) >= line.most or loop.time() < line.in_vain_until:
            return False
        turn: asyncio.Future[bool] = loop.create_future()
        line.waiting[turn] = count
        timer = loop.call_later(self._wait_s, self._give_up, line, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.leave(line, count)
            else:
                line.waiting.pop(turn, None)
                self._call_next()
            raise
        finally:
            timer.cancel()

    def leave(self, line: Line, count: int) -> None:
        """The places are free for the next."""
        line.add(-count)
        self._call_next()

    def _call_next(self) -> None:
        for line in self._by_turn:
            while line.waiting:
                turn, count = next(iter(line.waiting.items()))
                if not turn.done():
                    if not self.all.has_room(count):
                        return
                    if not line.has_room(count):
                        break  # they have their part; others may still have room in theirs
                    line.add(count)
                    turn.set_result(True)
                del line.waiting[turn]

    def _give_up(self, line: Line, turn: asyncio.Future[bool]) -> None:
        if line.waiting.pop(turn, None) is not None:
            if not turn.done():
                turn.set_result(False)
                line.in_vain_until = asyncio.get_running_loop().time() + _IN_VAIN_FOR_S
            # Somebody behind may need less.
            self._call_next()
