"""What the journals tell, by mark."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from carillon.prove.witness.journal import (
    Answered,
    Asked,
    Effect,
    FaultEnded,
    Intent,
    Record,
    Silent,
)
from carillon.prove.witness.marks import is_of

DOUBTFUL_KINDS = frozenset({"unavailable", "commit_unknown", ""})
"""Kinds of a 5xx after which a notification is stored or not: those the API says it of, and what is no
problem of the API's at all, such as a proxy's 502."""


@dataclass(slots=True, kw_only=True)
class Story:
    """What the client knows of one mark. `accepted_t`: when it was first told so. `doubtful`: an ask may have
    stored it without saying so. Neither: it was certainly refused, or never asked for."""

    mark: str
    key: str
    to: str = ""
    accepted_t: float | None = None
    doubtful: bool = False
    ids: list[str] = field(default_factory=list)

    def accept(self, t: float, notification_id: str | None) -> None:
        """A 202 for it."""
        self.accepted_t = t if self.accepted_t is None else min(t, self.accepted_t)
        if notification_id is not None and notification_id not in self.ids:
            self.ids.append(notification_id)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request that got an answer. `single`: it was for one notification."""

    t: float
    status: int
    ms: float
    single: bool


@dataclass(frozen=True, kw_only=True)
class History:
    """`effects` by mark, in the order of their time; `effect_times` of all marks whatsoever, sorted.
    `first_t`: of the first intent; faults that had ended by then are left out."""

    stories: dict[str, Story]
    effects: dict[str, list[Effect]]
    effect_times: list[float]
    unmarked: int
    asks: list[Ask]
    asked: int
    silences: dict[str, int]
    first_t: float | None
    faults_ended: list[FaultEnded]

    @property
    def last_fault_t(self) -> float:
        """When the last fault ended; 0 where there was none."""
        return max((fault.t for fault in self.faults_ended), default=0.0)


def history(
    *,
    clients: Iterable[Sequence[Record]],
    providers: Iterable[Sequence[Record]],
    faults: Iterable[Sequence[Record]],
    only_marks_prefix: str | None = None,
) -> History:
    """Of whole journals, each in its own order; of marks of that prefix, where one is given."""
    told = _Clients()
    for journal in clients:
        told.read(journal)
    stories = {mark: story for mark, story in told.stories.items() if is_of(mark, only_marks_prefix)}
    all_effects = sorted(
        (record for journal in providers for record in journal if isinstance(record, Effect)),
        key=lambda effect: effect.t,
    )
    effects: dict[str, list[Effect]] = {}
    for effect in all_effects:
        if is_of(effect.mark, only_marks_prefix):
            effects.setdefault(effect.mark, []).append(effect)
    return History(
        stories=stories,
        effects=effects,
        effect_times=[effect.t for effect in all_effects],
        unmarked=sum(not effect.mark for effect in all_effects),
        asks=told.asks,
        asked=told.asked,
        silences=told.silences,
        first_t=told.first_t,
        faults_ended=[
            record
            for journal in faults
            for record in journal
            if isinstance(record, FaultEnded) and (told.first_t is None or record.t >= told.first_t)
        ],
    )


class _Clients:
    """Takes the clients' records in."""

    def __init__(self) -> None:
        self.stories: dict[str, Story] = {}
        self.asks: list[Ask] = []
        self.asked = 0
        self.silences: dict[str, int] = {}
        self.first_t: float | None = None

    def read(self, journal: Sequence[Record]) -> None:
        by_key: dict[str, list[Story]] = {}
        open_asks: set[tuple[str, int]] = set()
        for record in journal:
            if isinstance(record, Intent):
                by_key.setdefault(record.key, []).append(self._story(record))
            elif isinstance(record, Asked):
                self.asked += 1
                open_asks.add((record.key, record.ask))
            elif isinstance(record, Answered):
                open_asks.discard((record.key, record.ask))
                self._answer(record, by_key.get(record.key, []))
            elif isinstance(record, Silent):
                open_asks.discard((record.key, record.ask))
                self.silences[record.why] = self.silences.get(record.why, 0) + 1
                if record.why != "refused":
                    _doubt(by_key.get(record.key, []))
        # The client died before it heard, or could write, what became of them.
        for key, _ in open_asks:
            _doubt(by_key.get(key, []))

    def _story(self, intent: Intent) -> Story:
        self.first_t = intent.t if self.first_t is None else min(self.first_t, intent.t)
        return self.stories.setdefault(intent.mark, Story(mark=intent.mark, key=intent.key, to=intent.to))

    def _answer(self, record: Answered, stories: Sequence[Story]) -> None:
        single = len(stories) == 1
        self.asks.append(Ask(record.t, record.status, record.ms, single))
        for story in stories:
            if record.status == 202 and story.mark in record.refused:
                story.doubtful |= record.refused[story.mark] in DOUBTFUL_KINDS
            elif record.status == 202 and (single or story.mark in record.ids):
                story.accept(record.t, record.ids.get(story.mark))
            elif record.status < 300 or (record.status >= 500 and record.kind in DOUBTFUL_KINDS):
                story.doubtful = True


def _doubt(stories: Sequence[Story]) -> None:
    for story in stories:
        story.doubtful = True
