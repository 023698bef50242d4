"""Where a fake provider takes messages: by the rules that are set, and on record before anybody is told."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from carillon.prove.witness.behaviour import Behaviour, Do, Rule
from carillon.prove.witness.journal import Call, Effect, JournalWriter

_WITHOUT_EFFECT = frozenset(
    {Do.HANG, Do.RESET, Do.THROTTLE, Do.REFUSE_TEMPORARILY, Do.TROUBLE, Do.REFUSE, Do.REFUSE_GREETING}
)
_MOST_KEYS = 200_000


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message that came whole. `message_id` is the key by which a repeat is known, empty for none."""

    mark: str
    recipients: tuple[str, ...]
    message_id: str


class Reception:
    """Decides, waits where it is told to, and writes the journal."""

    def __init__(self, journal: JournalWriter, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._monotonic = monotonic
        self._taken_at: dict[str, float] = {}
        self.behaviour = Behaviour()
        self.keys_s = 0.0
        """For how many seconds a Message-ID that was taken is known again."""
        self.calls = 0
        self.effects = 0

    async def take(self, message: Message) -> Rule:
        """The rule that tells how to answer; its effect, if it has one, is on disk by then. A repeat of a key
        is answered as its rule says, and has no second effect. Raises OSError where the journal fails."""
        rule = self.behaviour.for_message(message.mark, message.recipients)
        if rule.do in _WITHOUT_EFFECT:
            self.decline(message.mark, rule.do)
            return rule
        self.calls += 1
        if rule.do is Do.SLOW:
            await asyncio.sleep(rule.seconds)
        if self._is_repeat(message.message_id):
            self._journal.write(Call(mark=message.mark, did="repeat"))
        else:
            for recipient in message.recipients:
                self._journal.write(Effect(mark=message.mark, to=recipient, message_id=message.message_id))
            self.effects += len(message.recipients)
        # A repeat waits too: the answer to it says that the first is safe.
        await self._journal.flush()
        return rule

    def decline(self, mark: str, did: str) -> None:
        """Record a call that had no effect."""
        self.calls += 1
        self._journal.write(Call(mark=mark, did=did))

    def _is_repeat(self, message_id: str) -> bool:
        """Remembers it from now on if it is none. The last 200,000 are known."""
        if not message_id:
            return False
        now = self._monotonic()
        taken_at = self._taken_at.get(message_id)
        if taken_at is not None and now - taken_at < self.keys_s:
            return True
        self._taken_at.pop(message_id, None)
        if len(self._taken_at) >= _MOST_KEYS:
            del self._taken_at[next(iter(self._taken_at))]
        self._taken_at[message_id] = now
        return False
