"""The marks that tell one notification from another, in every witness's journal."""

import random
import re
from functools import cache

_PREFIX = re.compile(r"[a-z0-9]{1,20}")
POISON = "bad"
"""What stands in the mark of a poisoned notification, and in no other: a provider's rule can match it."""


class Marks:
    """`<prefix>x<six digits of the seed><number>`, with `bad` at the end of a share of them. The same prefix
    and seed give the same marks, so two clients of one run need different seeds. Raises ValueError where
    the prefix is no prefix, or holds `bad` itself."""

    def __init__(self, prefix: str, *, seed: int, poison_share: float) -> None:
        if _PREFIX.fullmatch(prefix) is None or POISON in prefix:
            raise ValueError("marks_prefix: 1 to 20 small letters and digits, without `bad`")
        self._random = random.Random(f"marks {prefix} {seed}")
        self._start = f"{prefix}x{self._random.randrange(10**6):06d}"
        self._poison_share = poison_share
        self._number = 0

    def next(self) -> str:
        """Never given before."""
        self._number += 1
        poison = POISON if self._random.random() < self._poison_share else ""
        return f"{self._start}{self._number}{poison}"


def is_of(mark: str, prefix: str | None) -> bool:
    """Whether `Marks` of this very prefix makes such a mark: `kill1` has none of `kill10`'s. All marks are
    of None."""
    return prefix is None or _pattern(prefix).fullmatch(mark) is not None


@cache
def _pattern(prefix: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(prefix)}x[0-9]+(?:{POISON})?")
