"""Places for what is in hand, and the short line before them: first come, first served, bulk last."""

import asyncio
from collections import OrderedDict

BULK_SHARE = 4
"""Bulk holds one place in so many at most."""
_IN_VAIN_FOR_S = 1.0


class Line:
    """Requests of one kind: the places they hold, and those who wait for some."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self.waiting: OrderedDict[asyncio.Future[bool], int] = OrderedDict()
        self.in_vain_until = 0.0

    def taken_places(self) -> float:
        """For the metrics."""
        return self.taken


class Places:
    """Who is in hand and who waits. All in one event loop."""

    def __init__(self, *, places: int, wait_s: float) -> None:
        self._places = places
        self._wait_s = wait_s
        self.single = Line(places)
        self.bulk = Line(max(1, places // BULK_SHARE))

    async def take(self, line: Line, count: int) -> bool:
        """Whether `count` places are had, at once or after a wait; then `leave` has to follow. No more wait
        than could ever be in hand, and nobody for a second after somebody waited in vain: these are told
        at once."""
        ahead = line.waiting or self.single.waiting
        if not ahead and self._room(line, count):
            line.taken += count
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
        line.taken -= count
        self._call_next()

    def _room(self, line: Line, count: int) -> bool:
        return self.single.taken + self.bulk.taken + count <= self._places and line.taken + count <= line.most

    def _call_next(self) -> None:
        for line in (self.single, self.bulk):
            while line.waiting:
                turn, count = next(iter(line.waiting.items()))
                if not turn.done():
                    if not self._room(line, count):
                        return
                    line.taken += count
                    turn.set_result(True)
                del line.waiting[turn]

    def _give_up(self, line: Line, turn: asyncio.Future[bool]) -> None:
        if line.waiting.pop(turn, None) is not None:
            if not turn.done():
                turn.set_result(False)
                line.in_vain_until = asyncio.get_running_loop().time() + _IN_VAIN_FOR_S
            # Somebody behind may need less.
            self._call_next()
