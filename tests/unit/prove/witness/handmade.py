"""Journals made by hand, and the verdict on them: of one notification that was accepted, sent once, and is
known as sent, unless something else is said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from carillon.prove.witness.accounts import Findings, Shown, judge
from carillon.prove.witness.history import history
from carillon.prove.witness.journal import Answered, Asked, Effect, Ended, Intent, Record, Silent
from carillon.prove.witness.verdict import Verdict

MARK = "killx0000011"
OTHER = "killx0000012"


def intent(mark: str = MARK, *, key: str = "k", t: float = 0) -> Intent:
    return Intent(t=t, mark=mark, key=key, channel="email", category="transactional")


def asked(ask: int = 1, *, key: str = "k", t: float = 0) -> Asked:
    return Asked(t=t, key=key, ask=ask)


def answered(
    status: int = 202,
    *,
    ask: int = 1,
    key: str = "k",
    kind: str = "",
    t: float = 1,
    ms: float = 10,
    ids: dict[str, str] | None = None,
    refused: dict[str, str] | None = None,
) -> Answered:
    if ids is None:
        ids = {MARK: "n1"} if status == 202 else {}
    return Answered(
        t=t,
        key=key,
        ask=ask,
        status=status,
        ms=ms,
        kind=kind,
        ids=ids,
        refused={} if refused is None else refused,
    )


def silent(why: str = "reset", *, ask: int = 1) -> Silent:
    return Silent(t=1, key="k", ask=ask, why=why, ms=10)


def effect(mark: str = MARK, *, to: str = "a@example.com", t: float = 2) -> Effect:
    return Effect(t=t, mark=mark, to=to, message_id="m")


def shown(status: str = "sent", *, name: str = "n1", mark: str = MARK, flagged: bool = False) -> Shown:
    return Shown(
        id=name,
        mark=mark,
        status=status,
        possible_duplicate=flagged,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """What all witnesses and the API say."""

    client: Sequence[Record] = (intent(), asked(), answered(), Ended())
    provider: Sequence[Record] = (effect(),)
    faults: Sequence[Record] = ()
    shown: Sequence[Shown] = (shown(),)
    missing: Sequence[str] = ()
    read_whole: bool = True
    prefix: str | None = None

    def verdict(self) -> Verdict:
        told = history(
            clients=[self.client],
            providers=[self.provider],
            faults=[self.faults],
            only_marks_prefix=self.prefix,
        )
        found = Findings(
            shown={each.id: each for each in self.shown}, missing={*self.missing}, read_whole=self.read_whole
        )
        return judge(told, found, settled=True)


WHOLE = Case()
REFUSED = (intent(), asked(), answered(422, kind="validation"))
BACKLOG = (intent(), asked(), answered(503, kind="backlog_full"))
UNAVAILABLE = (intent(), asked(), answered(503, kind="unavailable"))
SILENCE = (intent(), asked(), silent())
BATCH = (
    intent(),
    intent(OTHER),
    asked(),
    answered(ids={MARK: "n1"}, refused={OTHER: "validation"}),
)
TWO_IDS = (intent(), asked(), silent(), asked(2), answered(ask=2))


def is_clean(verdict: Verdict) -> bool:
    """Nothing of what must be 0 is not, and the ledger has seen all that it needs for saying so."""
    wrong = verdict.lost + verdict.silent_duplicates + verdict.stuck + verdict.unaccepted
    wrong += verdict.contradictions + verdict.undecided
    return wrong == 0 and verdict.read_whole and verdict.settled
