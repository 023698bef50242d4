"""How the bytes of one direction fare, for all connections of a wire."""

import asyncio
from random import Random

from carillon.prove.wires.orders import Passage


class Course:
    """Read by every flow of this direction. `carried` counts the bytes that were read."""

    def __init__(self) -> None:
        self.passage = Passage.PASS
        self.is_plain = True
        """Nothing is to be done but to hand on."""
        self.carried = 0
        self.connects = asyncio.Event()
        """Unset in a black hole, which a connection's first packet would not leave either."""
        self.connects.set()
        self._torn_after: int | None = None
        self._delay_s = 0.0
        self._jitter_s = 0.0
        self._random = Random(0)

    def take(self, passage: Passage) -> None:
        """From now on; what a flow has read already is treated likewise."""
        self.passage = passage
        self._settle()

    def delay(self, seconds: float, *, jitter_s: float, seed: int) -> None:
        """Take `Passage.DELAY`."""
        self._delay_s, self._jitter_s, self._random = seconds, jitter_s, Random(seed)
        self.take(Passage.DELAY)

    def tear_after(self, count: int | None) -> None:
        """None: not at all."""
        self._torn_after = count
        self._settle()

    def until_torn(self, count: int) -> int | None:
        """Note that `count` bytes come. How many of them pass before the tear; None where all do."""
        if self._torn_after is None:
            return None
        if count < self._torn_after:
            self._torn_after -= count
            return None
        passing = self._torn_after
        self.tear_after(None)
        return passing

    def lag_s(self) -> float:
        """How late a piece that comes now is to be."""
        if self.passage is not Passage.DELAY:
            return 0.0
        return self._delay_s + self._jitter_s * self._random.random()

    def _settle(self) -> None:
        self.is_plain = self.passage is Passage.PASS and self._torn_after is None
        if self.passage is Passage.BLACK_HOLE:
            self.connects.clear()
        else:
            self.connects.set()
