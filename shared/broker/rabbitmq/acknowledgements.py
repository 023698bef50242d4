"""Which acknowledgement frames settle what is finished: as few as possible. Pure."""

from collections.abc import Iterator


class Acknowledgements:
    """The finished deliveries of one channel, by delivery tag: 1, 2, 3, … in the order they came.

    Consuming is twice as fast where one frame acknowledges "everything up to this tag", which is allowed
    only when everything up to it is finished. RabbitMQ closes the channel over a tag it does not know.
    """

    def __init__(self) -> None:
        self._floor = 0
        self._above: set[int] = set()
        self._unsent: list[int] = []

    def finish(self, tag: int, *, settled: bool = False) -> None:
        """A delivery is finished; `settled` says that the broker has been told already."""
        self._above.add(tag)
        if not settled:
            self._unsent.append(tag)

    def frames(self) -> Iterator[tuple[int, bool]]:
        """What to send now: pairs of tag and "everything up to it"."""
        while self._floor + 1 in self._above:
            self._floor += 1
            self._above.discard(self._floor)
        unsent, self._unsent = sorted(self._unsent), []
        below = [tag for tag in unsent if tag <= self._floor]
        if below:
            yield below[-1], len(below) > 1
        for tag in unsent[len(below) :]:
            yield tag, False
