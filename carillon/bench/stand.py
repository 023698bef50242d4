"""The test stand: one system, its servers, the sink, and a load that is seen at both ends."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from carillon.bench.generator import Generator, Load
from carillon.bench.journal import Arrival
from carillon.bench.load_plan import LoadResult
from carillon.bench.meter import Meter, Reading
from carillon.bench.sinks import Sink
from carillon.bench.storage import Storage, StorageMeter
from carillon.bench.system import System

_WARM_UP = Load(count=200, connections=16)
_STUCK_AFTER_S = 100.0  # a gateway asks after an order that has no end after 60
_LOOK_EVERY_S = 0.02
_AFTERWARDS_S = 1.0
_LOAD_WITHIN_S = 1800.0


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One load: what the generator and the sink saw, what each process used for it, and what it stored."""

    load: Load
    result: LoadResult
    arrivals: list[Arrival]
    reading: Reading
    storage: Storage


class Collection:
    """The mails of one load, as they come."""

    def __init__(self, sink: Sink) -> None:
        self.arrivals: list[Arrival] = []
        self.seen: set[str] = set()
        self._sink = sink
        self._last = time.monotonic()

    def look(self) -> None:
        """Wait a moment, and take what has come."""
        time.sleep(_LOOK_EVERY_S)
        if new := self._sink.journal.read():
            self.arrivals += new
            self.seen.update(each.notification_id for each in new)
            self._last = time.monotonic()

    @property
    def is_stuck(self) -> bool:
        """Whether nothing has come for longer than anything takes."""
        return time.monotonic() - self._last > _STUCK_AFTER_S

    def finish(self, expected: set[str]) -> None:
        """Until all of `expected` have come, or nothing does any more; and a second longer, so that a
        duplicate is seen."""
        self._last = time.monotonic()
        while not expected <= self.seen and not self.is_stuck:
            self.look()
        time.sleep(_AFTERWARDS_S)
        self.look()


class Stand:
    """Loads are sent one after another."""

    def __init__(
        self,
        system: System,
        *,
        broker: str,
        servers: Mapping[str, int],
        storage: StorageMeter,
        sink: Sink,
        folder: Path,
    ) -> None:
        self.system, self.broker, self.sink = system, broker, sink
        self._storage = storage
        self.meter = Meter({**system.own, **servers, "sink": sink.pid}, alone=system.alone)
        self._folder = folder

    def warm_up(self) -> None:
        """Connections are made and templates compiled; not counted."""
        self.send(_WARM_UP)

    def collection(self) -> Collection:
        """An empty one; what has come so far is forgotten."""
        self.sink.journal.read()
        return Collection(self.sink)

    @contextlib.contextmanager
    def generating(self, load: Load) -> Iterator[Generator]:
        """The load generator at work; ended with the body."""
        generator = Generator(self.system, load, folder=self._folder)
        try:
            yield generator
        finally:
            generator.stop()

    def send(self, load: Load) -> Observation:
        """One load, until its last mail has come and all is quiet again."""
        collection = self.collection()
        self._storage.reset()
        with self.generating(load) as generator:
            self.meter.reset()
            while generator.running:
                collection.look()
            result = generator.wait(timeout_s=_LOAD_WITHIN_S)
        collection.finish(set(result.accepted_ids()))
        self.meter.wait_quiet()
        return Observation(
            load=load,
            result=result,
            arrivals=collection.arrivals,
            reading=self.meter.read(),
            storage=self._storage.read(),
        )
