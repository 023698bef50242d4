"""One scenario under way: what its script can do, and what it notes."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from carillon.prove.installation import ProofInstallation
from carillon.prove.nursery import Nursery
from carillon.prove.scenario import Size
from carillon.prove.servers import ProofServers
from carillon.prove.wires.client import Wires
from carillon.prove.witness.behaviour import Rule
from carillon.prove.witness.control import Control
from carillon.prove.witness.journal import (
    Effect,
    FaultBegun,
    FaultEnded,
    Intent,
    JournalWriter,
    read_journal,
)
from carillon.prove.witnesses import LoadClient

CALLS_IN_FLIGHT = 32
"""Of one channel process: the lanes' concurrencies together, as they are by default."""
_DIES_WITHIN_S = 30.0
_AFTERWARDS_S = 1.5
_LOOK_EVERY_S = 0.05


class Experiment:
    """Everything that a script needs. `doubts` is the ceiling of what may end in doubt: a death or a time-out
    leaves those calls in doubt that were in flight, and no more. `complaints`: what did not go as the script
    says."""

    def __init__(
        self,
        *,
        size: Size,
        seed: str,
        servers: ProofServers,
        installation: ProofInstallation,
        nursery: Nursery,
        wires: Wires,
        mail: Control,
        fcm: Control,
        load: LoadClient,
        journal: JournalWriter,
        provider_journals: Sequence[Path],
    ) -> None:
        self.size = size
        self.random = random.Random(seed)
        self.seed = self.random.randrange(2**31)
        self.load = load
        self.servers = servers
        self.installation = installation
        self.nursery = nursery
        self.wires = wires
        self.mail = mail
        self.fcm = fcm
        self.doubts = 0
        self.complaints: list[str] = []
        self.figures: dict[str, float] = {}
        self.phases: dict[str, tuple[float, float]] = {}
        self._journal = journal
        self._provider_journals = provider_journals
        self._load_ended = False

    def pick(self, small: float, usual: float, full: float) -> float:
        """One of three figures, by size."""
        return {Size.SMALL: small, Size.USUAL: usual, Size.FULL: full}[self.size]

    def times(self, small: int, usual: int, full: int) -> range:
        """How often to do something, by size."""
        return range(int(self.pick(small, usual, full)))

    def pause(self, seconds: float) -> None:
        """The load goes on."""
        time.sleep(seconds)

    def wait(self, holds: Callable[[], bool], *, within_s: float) -> bool:
        """Until it holds, or for so long; whether it does. The load goes on."""
        deadline = time.monotonic() + within_s
        while not (held := holds()) and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)
        return held

    @contextlib.contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Something is wrong for as long as the body runs; with its end the time to recover begins."""
        self._journal.write(FaultBegun(name=name))
        try:
            yield
        finally:
            self._journal.write(FaultEnded(name=name))

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A stretch of time that is looked at apart."""
        begun = time.time()
        yield
        self.phases[name] = (begun, time.time())

    def see_it_recover(self) -> None:
        """The load goes on for a moment after the last fault."""
        if not self._load_ended:
            time.sleep(_AFTERWARDS_S)

    def stop_load(self) -> None:
        """What was asked for so far is answered, or given up; nothing new comes."""
        if not self._load_ended:
            self._load_ended = True
            complaint = self.load.finish()
            if complaint is not None:
                self.complaints.append(complaint)

    def kill(self, name: str) -> None:
        """kill -9; it comes back by itself."""
        with self.fault(f"{name} killed"):
            self.nursery.kill(name)
        self._doubt(name)

    def die_at(self, name: str, point: str) -> None:
        """kill -9 once more, as soon as it gets to a crash point."""
        before = self.nursery.deaths(name)
        with self.fault(f"{name} dies at {point}"):
            self.nursery.die_at(name, point)
            if not self.nursery.wait_for_death(name, after=before + 1, within_s=_DIES_WITHIN_S):
                self.complaints.append(f"{name} did not come to {point} within {_DIES_WITHIN_S:g} s")
        self._doubt(name)
        self._doubt(name)

    def freeze(self, name: str, seconds: float) -> None:
        """SIGSTOP, and later SIGCONT."""
        with self.fault(f"{name} frozen"):
            self.nursery.freeze(name)
            time.sleep(seconds)
            self.nursery.wake(name)
        self._doubt(name)

    def stop(self, name: str) -> None:
        """SIGTERM; it stays away."""
        code = self.nursery.stop(name)
        if code != 0:
            self.complaints.append(f"{name} ended with code {code} when it was told to stop")

    def replace(self, name: str) -> None:
        """SIGTERM, and a new one that is waited for: what a roll-out does."""
        with self.fault(f"{name} replaced"):
            self.stop(name)
            self.installation.start(name)
            self.installation.wait_ready(name)

    def shift_clock(self, name: str, seconds: float) -> None:
        """A new process in the place of the old one, with a clock that is wrong by so much."""
        self.stop(name)
        self.installation.start(name, clock_offset_s=seconds)

    @contextlib.contextmanager
    def misbehaving(self, rule: Rule, *, name: str, doubtful_share: float = 0.0) -> Iterator[None]:
        """Both providers keep to a rule while the body runs. `doubtful_share`: of the calls meanwhile, those
        that may end in doubt."""
        providers = (self.mail, self.fcm)
        with self.fault(name):
            before = sum(provider.set_rules(rule, seed=self.seed).calls for provider in providers)
            yield
            after = sum(provider.set_rules().calls for provider in providers)
            for provider in providers:
                provider.release()
        self.may_doubt((after - before) * doubtful_share)

    def may_doubt_all(self) -> None:
        """All calls that can be in flight."""
        self.doubts += 2 * CALLS_IN_FLIGHT

    def may_doubt(self, calls: float) -> None:
        """So many calls more may end in doubt."""
        self.doubts += int(calls)

    def effects(self) -> list[Effect]:
        """What the providers have taken of this load so far."""
        ours = {record.mark for record in self.load.told() if isinstance(record, Intent)}
        return [
            record
            for path in self._provider_journals
            for record in read_journal(path)
            if isinstance(record, Effect) and record.mark in ours
        ]

    def _doubt(self, name: str) -> None:
        if name.startswith(("email", "push")):
            self.doubts += CALLS_IN_FLIGHT
