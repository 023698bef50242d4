"""Whether everything that was accepted arrived, and once."""

from collections import Counter
from collections.abc import Iterable

import msgspec


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of notifications. `refused` were answered with another status than 202, `unanswered` not at
    all; a notification that arrived and was not accepted is `unexpected`."""

    asked: int
    accepted: int
    refused: int
    unanswered: int
    arrived: int
    lost: int
    duplicates: int
    unexpected: int

    @property
    def is_whole(self) -> bool:
        """Everything was accepted, and arrived exactly once."""
        wrong = self.refused + self.unanswered + self.lost + self.duplicates + self.unexpected
        return wrong == 0 and self.accepted == self.asked


def account(*, asked: int, accepted: Iterable[str], unanswered: int, arrived: Iterable[str]) -> Account:
    """`accepted` holds the ids that a 202 named, `arrived` one id for each mail at the sink."""
    promised = set(accepted)
    came = Counter(arrived)
    return Account(
        asked=asked,
        accepted=len(promised),
        refused=asked - len(promised) - unanswered,
        unanswered=unanswered,
        arrived=len(came),
        lost=len(promised - came.keys()),
        duplicates=sum(times - 1 for times in came.values()),
        unexpected=len(came.keys() - promised),
    )
