"""Checking API keys with the user service, and remembering for a while what it said.

What was said counts for 10 s, a refusal for 2 s. While the user service is away a key that was good goes on
for 5 minutes. A key in use is asked about again before its time is up, so that nobody waits for it.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256

from gateway_service.domain.access import InvalidCredentials, Principal, known_scopes
from shared.clients.peer import PeerUnavailable
from shared.contracts.recipients import ApiKeyPrincipal

PREFIX = "ck_"
_FORM = re.compile(r"ck_(live|test)_[A-Za-z0-9_-]{43}")
REFUSED_FOR_S = 2.0
ASKED_AGAIN_S = 1.0
"""While the user service is away, so often is it asked again about a key in use."""
MAX_KNOWN = 10_000
MAX_REFUSED = 1_000


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """`principal` is None for a refusal."""

    principal: Principal | None
    at: float


class ApiKeyVerifier:
    """`ask` gives whose key has a digest, and raises PeerUnavailable. Times are in seconds."""

    def __init__(
        self,
        ask: Callable[[str], Awaitable[ApiKeyPrincipal | None]],
        *,
        fresh_s: float,
        stale_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._monotonic_s = monotonic_s
        self._known: OrderedDict[str, _Answer] = OrderedDict()
        self._refused: OrderedDict[str, _Answer] = OrderedDict()
        self._asking: dict[str, asyncio.Task[_Answer]] = {}
        self._asked_in_vain: dict[str, float] = {}

    async def verify(self, secret: str) -> Principal:
        """Whose key it is. Raises InvalidCredentials; PeerUnavailable where that cannot be known."""
        if _FORM.fullmatch(secret) is None:
            raise InvalidCredentials
        digest = sha256(secret.encode()).hexdigest()
        answer = self._remembered(digest)
        if answer is None:
            answer = await self._asked(digest)
        if answer.principal is None:
            raise InvalidCredentials
        return answer.principal

    async def close(self) -> None:
        """Ends what goes on in the background."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _remembered(self, digest: str) -> _Answer | None:
        """The answer that may be used without waiting, if there is one."""
        now = self._monotonic_s()
        refused = self._refused.get(digest)
        if refused is not None and now - refused.at < REFUSED_FOR_S:
            return refused
        known = self._known.get(digest)
        if known is None:
            return None
        self._known.move_to_end(digest)
        age_s = now - known.at
        failed_s = now - self._asked_in_vain.get(digest, float("-inf"))
        if age_s < self._fresh_s:
            if age_s > self._fresh_s / 2 and failed_s >= ASKED_AGAIN_S:
                self._start_asking(digest)
            return known
        if age_s < self._stale_s and failed_s < self._fresh_s:
            if failed_s >= ASKED_AGAIN_S:
                self._start_asking(digest)
            return known
        return None

    async def _asked(self, digest: str) -> _Answer:
        try:
            # Shielded: the others who wait for the same answer are not to lose it with the first.
            return await asyncio.shield(self._start_asking(digest))
        except PeerUnavailable:
            known = self._known.get(digest)
            if known is not None and self._monotonic_s() - known.at < self._stale_s:
                return known
            raise

    def _start_asking(self, digest: str) -> asyncio.Task[_Answer]:
        task = self._asking.get(digest)
        if task is None:
            task = asyncio.create_task(self._ask_and_remember(digest))
            self._asking[digest] = task
            task.add_done_callback(lambda done: self._finished(digest, done))
        return task

    def _finished(self, digest: str, task: asyncio.Task[_Answer]) -> None:
        del self._asking[digest]
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it where nobody waited

    async def _ask_and_remember(self, digest: str) -> _Answer:
        asked_at = self._monotonic_s()
        try:
            found = await self._ask(digest)
        except PeerUnavailable:
            if digest in self._known:
                self._asked_in_vain[digest] = self._monotonic_s()
            raise
        self._asked_in_vain.pop(digest, None)
        if found is None:
            answer = _Answer(principal=None, at=asked_at)
            self._known.pop(digest, None)
            self._refused[digest] = answer
            self._drop_oldest(self._refused, MAX_REFUSED)
        else:
            answer = _Answer(principal=_principal(found), at=asked_at)
            self._refused.pop(digest, None)
            self._known[digest] = answer
            self._known.move_to_end(digest)
            self._drop_oldest(self._known, MAX_KNOWN)
        return answer

    def _drop_oldest(self, answers: OrderedDict[str, _Answer], most: int) -> None:
        while len(answers) > most:
            digest, _ = answers.popitem(last=False)
            self._asked_in_vain.pop(digest, None)


def _principal(found: ApiKeyPrincipal) -> Principal:
    return Principal(
        owner=found.owner,
        user_id=None,
        role=None,
        scopes=known_scopes(found.scopes),
        kind="api_key",
        test=found.kind == "test",
    )
