"""What a fake provider does with a message: by rules, and by a seed where chance is asked for. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Annotated

import msgspec

_MOST_MARKS = 200_000


class Do(StrEnum):
    """What can be done. The effect is the message's delivery to its recipient."""

    ACCEPT = "accept"
    HANG = "hang"
    """No effect, and no answer until the peer goes or those that hang are released."""
    ACCEPT_SILENT = "accept_silent"
    """The effect, and then as above."""
    ACCEPT_RESET = "accept_reset"
    """The effect, and then a reset of the connection (TCP's RST)."""
    RESET = "reset"
    """A reset without an effect, after the message was read whole."""
    SLOW = "slow"
    """Effect and answer after so many seconds; the effect comes even if the peer has gone meanwhile."""
    THROTTLE = "throttle"
    """Too fast, come again after so many seconds."""
    REFUSE_TEMPORARILY = "refuse_temporarily"
    TROUBLE = "trouble"
    """The provider has an error of its own, and nothing was taken."""
    REFUSE = "refuse"
    """This recipient, for good."""
    GARBAGE = "garbage"
    """The effect, and then an answer that is none."""
    REFUSE_GREETING = "refuse_greeting"
    """Mail servers: no room for a new connection."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`match` is a part of the mark, `recipient` one of the address or device token. `first`: only the first
    so many calls of each mark since the rules were set. `share`: of those that fit otherwise."""

    do: Do
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    match: str | None = None
    recipient: str | None = None
    first: Annotated[int, msgspec.Meta(ge=1)] | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 1.0


@dataclass(frozen=True, kw_only=True)
class _Call:
    mark: str
    number: int
    recipients: Sequence[str]


_ACCEPT = Rule(do=Do.ACCEPT)


class Behaviour:
    """The first rule that fits decides; where none does, a message is accepted.

    Chance is a hash of the seed, the mark, how often it was called, and the rule's place: a run with the same
    seed does the same, in whatever order the marks come, and a rule's share is of what is left to it.
    """

    def __init__(self, rules: Sequence[Rule] = (), *, seed: int = 0) -> None:
        self._rules = rules
        self._seed = seed
        self._calls: dict[str, int] = {}
        self._connections = 0

    def for_message(self, mark: str, recipients: Sequence[str]) -> Rule:
        """Counts the call. Beyond 200,000 marks those seen first are counted anew."""
        number = self._calls.get(mark, 0) + 1
        if number == 1 and len(self._calls) >= _MOST_MARKS:
            del self._calls[next(iter(self._calls))]
        self._calls[mark] = number
        call = _Call(mark=mark, number=number, recipients=recipients)
        for place, rule in enumerate(self._rules):
            if rule.do is not Do.REFUSE_GREETING and self._fits(rule, call, place=place):
                return rule
        return _ACCEPT

    def refuses_connection(self) -> bool:
        """Counts the connection, as a call of the empty mark."""
        self._connections += 1
        call = _Call(mark="", number=self._connections, recipients=())
        return any(
            rule.do is Do.REFUSE_GREETING and self._fits(rule, call, place=place)
            for place, rule in enumerate(self._rules)
        )

    def _fits(self, rule: Rule, call: _Call, *, place: int) -> bool:
        return (
            (rule.match is None or rule.match in call.mark)
            and (rule.recipient is None or any(rule.recipient in each for each in call.recipients))
            and (rule.first is None or call.number <= rule.first)
            and (rule.share >= 1 or self._chance(f"{call.mark} {call.number} {place}") < rule.share)
        )

    def _chance(self, of: str) -> float:
        digest = blake2b(f"{self._seed} {of}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64
