"""The accounts: what the journals tell, against what the API says. No I/O."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from carillon.prove.witness.history import History, Story
from carillon.prove.witness.journal import Effect
from carillon.prove.witness.measures import measures
from carillon.prove.witness.verdict import Example, Verdict

SENT = frozenset({"sent", "delivered", "bounced"})
CONTRADICTED = frozenset({"failed", "suppressed", "expired", "cancelled"})
"""By an effect."""
VISIBLE_ENDS = CONTRADICTED | {"unknown", "discarded"}
TERMINAL = SENT | VISIBLE_ENDS
_MOST_EXAMPLES = 20


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A notification as the API shows it; `mark` is empty where its metadata have none."""

    id: str
    mark: str
    status: str
    possible_duplicate: bool
    created_at: datetime


@dataclass(kw_only=True)
class Findings:
    """What the API has said: `shown` by id, each as last seen; `missing`: ids that were answered 404.
    `read_whole`: whatever else there is of this run has been shown."""

    shown: dict[str, Shown] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    read_whole: bool = False

    def by_mark(self) -> dict[str, list[Shown]]:
        """In the order of their creation."""
        found: dict[str, list[Shown]] = {}
        for each in sorted(self.shown.values(), key=lambda shown: shown.created_at):
            found.setdefault(each.mark, []).append(each)
        return found


def judge(told: History, found: Findings, *, settled: bool, stuck_after_s: float = 60.0) -> Verdict:
    """The verdict on every mark."""
    accounts = _added_up(told, found, stuck_after_s=stuck_after_s)
    count, statuses = accounts.count, accounts.statuses
    return Verdict(
        intended=len(told.stories),
        accepted=count["accepted"],
        in_doubt_accepted=count["in_doubt_accepted"],
        in_doubt_nought=count["in_doubt_nought"],
        refused=count["refused"],
        sent=count["sent"],
        effects=sum(len(effects) for mark, effects in told.effects.items() if mark in told.stories),
        lost=count["lost"],
        sent_without_effect=count["sent_without_effect"],
        silent_duplicates=count["silent_duplicates"],
        possible_duplicates=count["possible_duplicates"],
        flagged=count["flagged"],
        parked=statuses["failed"],
        unknown=statuses["unknown"],
        suppressed=statuses["suppressed"],
        expired=statuses["expired"],
        cancelled=statuses["cancelled"],
        discarded=statuses["discarded"],
        stuck=count["stuck"],
        unaccepted=count["unaccepted"],
        undecided=count["undecided"],
        contradictions=count["contradictions"],
        unmarked=told.unmarked,
        statuses=dict(sorted(statuses.items())),
        **msgspec.structs.asdict(measures(told)),
        examples=accounts.examples,
        read_whole=found.read_whole,
        settled=settled,
    )


def suspects(told: History, found: Findings) -> list[str]:
    """Every mark on which the verdict would be a bad one."""
    return list(_added_up(told, found).marks)


def _added_up(told: History, found: Findings, *, stuck_after_s: float = math.inf) -> "_Accounts":
    accounts = _Accounts(told, found, stuck_after_s=stuck_after_s)
    for story in told.stories.values():
        accounts.enter(story)
    for mark, effects in told.effects.items():
        if mark not in told.stories:
            accounts.unaccepted(mark, "", "nobody intended it", count=len(effects))
    return accounts


class _Accounts:
    """The columns, while they are added up."""

    def __init__(self, told: History, found: Findings, *, stuck_after_s: float) -> None:
        self._in_time_s = stuck_after_s
        self._last_fault_t = told.last_fault_t
        self.count: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.examples: dict[str, list[Example]] = {}
        self.marks: dict[str, None] = {}
        self._effects = told.effects
        self._found = found
        self._by_mark = found.by_mark()

    def enter(self, story: Story) -> None:
        """One mark, into every column where it belongs."""
        effects = self._effects.get(story.mark, [])
        strangers = sum(bool(story.to) and effect.to != story.to for effect in effects)
        if strangers:
            self.unaccepted(story.mark, "", "reached somebody else", count=strangers)
        shown = _all_shown(story, self._found.shown, self._by_mark)
        if story.accepted_t is not None:
            self._enter_accepted(story, shown, effects)
        elif story.doubtful and shown:
            self.count["in_doubt_accepted"] += 1
            self._enter_accepted(story, shown, effects)
        elif story.doubtful:
            self._enter_nought(story, effects)
        else:
            self.count["refused"] += 1
            if effects or shown:
                what = "refused or never asked for, and has an effect" if effects else "refused, and is shown"
                self.unaccepted(story.mark, _first_id(shown), what, count=max(1, len(effects)))

    def unaccepted(self, mark: str, notification_id: str, what: str, *, count: int) -> None:
        """Effects, or a notification, that should not be."""
        self._violation("unaccepted", Example(mark, notification_id, what), count=count)

    def _enter_nought(self, story: Story, effects: Sequence[Effect]) -> None:
        self.count["in_doubt_nought"] += 1
        if effects and self._found.read_whole:
            self.unaccepted(story.mark, "", "has an effect, and the API shows nothing", count=len(effects))
        elif effects:
            example = Example(story.mark, "", "has an effect, and the API was not read whole")
            self._violation("undecided", example, count=len(effects))

    def _enter_accepted(self, story: Story, shown: Sequence[Shown], effects: Sequence[Effect]) -> None:
        ids = list(dict.fromkeys([*story.ids, *(each.id for each in shown)]))
        self.count["accepted"] += 1
        self.count["sent"] += bool(effects)
        self.count["flagged"] += any(each.possible_duplicate for each in shown)
        self.statuses.update(each.status for each in shown)
        self._enter_end(story, shown, ids, has_effect=bool(effects))
        since = max(story.accepted_t or 0.0, self._last_fault_t)
        if effects and story.accepted_t is not None and effects[0].t - since > self._in_time_s:
            late = Example(story.mark, _first_id(shown), f"sent after {effects[0].t - since:.0f} s")
            self._violation("stuck", late)
        self._enter_repeats(story, shown, ids, effects)

    def _enter_end(
        self, story: Story, shown: Sequence[Shown], ids: Sequence[str], *, has_effect: bool
    ) -> None:
        name = ids[0] if ids else ""
        states = [each.status for each in shown]
        missing = [each for each in ids if each in self._found.missing]
        never_shown = not ids and self._found.read_whole
        if missing or never_shown:
            what = "accepted, and the API does not know it"
            self._violation("lost", Example(story.mark, missing[0] if missing else name, what))
        elif len(shown) < len(ids) or not ids or not TERMINAL.issuperset(states):
            what = f"at last {', '.join(states)}" if states else "not shown"
            self._violation("stuck", Example(story.mark, name, what))
            if not has_effect and VISIBLE_ENDS.isdisjoint(states):
                self._violation("lost", Example(story.mark, name, f"no effect, {what}"))
        elif not has_effect and VISIBLE_ENDS.isdisjoint(states):
            example = Example(story.mark, name, f"{', '.join(states)}, and no effect")
            self._violation("lost", example)
            self._violation("sent_without_effect", example)
        if has_effect and SENT.isdisjoint(states) and not CONTRADICTED.isdisjoint(states):
            example = Example(story.mark, name, f"{', '.join(states)}, and has an effect")
            self._violation("contradictions", example)

    def _enter_repeats(
        self, story: Story, shown: Sequence[Shown], ids: Sequence[str], effects: Sequence[Effect]
    ) -> None:
        extra = max(0, len(effects) - 1)
        elsewhere = sum(effect.to != effects[0].to for effect in effects)
        flagged = any(each.possible_duplicate for each in shown)
        silent = max(elsewhere if flagged else extra, len(ids) - 1)
        name = ids[0] if ids else ""
        if silent:
            what = f"{len(effects)} effects, {elsewhere} of them on others; {len(ids)} notifications"
            self._violation("silent_duplicates", Example(story.mark, name, what), count=silent)
        if extra > silent:
            example = Example(story.mark, name, f"{len(effects)} effects, flagged")
            self._violation("possible_duplicates", example, count=extra - silent)

    def _violation(self, column: str, example: Example, *, count: int = 1) -> None:
        self.count[column] += count
        if column != "possible_duplicates":
            self.marks[example.mark] = None
        examples = self.examples.setdefault(column, [])
        if len(examples) < _MOST_EXAMPLES:
            examples.append(example)


def _all_shown(
    story: Story, shown: Mapping[str, Shown], by_mark: Mapping[str, Collection[Shown]]
) -> list[Shown]:
    """By mark, and by id where the metadata have lost it."""
    named = {each.id: each for each in by_mark.get(story.mark, ())}
    named.update((each, shown[each]) for each in story.ids if each in shown)
    return list(named.values())


def _first_id(shown: Sequence[Shown]) -> str:
    return shown[0].id if shown else ""
