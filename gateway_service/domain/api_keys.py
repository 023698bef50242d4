"""Checking API keys with the user service, and remembering for a while what it said.

What was said counts for 10 s, a refusal for 2 s. While the user service is away a key that was good goes on
for 5 minutes, and nobody waits for longer than 0.4 s to see that it is. A key in use is asked about again
before its time is up, so that nobody waits at all.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256

from gateway_service.domain.access import InvalidCredentials, Principal, known_scopes
from shared.clients.flights import Flights
from shared.clients.peer import PATIENCE_S, PeerUnavailable
from shared.contracts.recipients import ApiKeyPrincipal
from shared.process.recent import RecentlyUsed

PREFIX = "ck_"
_FORM = re.compile(r"ck_(live|test)_[A-Za-z0-9_-]{43}")
REFUSED_FOR_S = 2.0
ASKED_AGAIN_S = 1.0
"""While the user service is away, so often is it asked again about a key in use."""
MAX_KNOWN = 10_000
MAX_REFUSED = 1_000


@dataclass(kw_only=True)
class _Known:
    """A key that was good at `at`; `asked_in_vain_at`: when the user service last gave no answer about it."""

    principal: Principal
    at: float
    asked_in_vain_at: float = float("-inf")


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
        self._known = RecentlyUsed[str, _Known](max_items=MAX_KNOWN, max_weight=MAX_KNOWN)
        self._refused_at = RecentlyUsed[str, float](max_items=MAX_REFUSED, max_weight=MAX_REFUSED)
        self._questions = Flights[str, Principal | None]()

    async def verify(self, secret: str) -> Principal:
        """Whose key it is. Raises InvalidCredentials; PeerUnavailable where that cannot be known."""
        if _FORM.fullmatch(secret) is None:
            raise InvalidCredentials
        digest = sha256(secret.encode()).hexdigest()
        refused_at = self._refused_at.get(digest)
        if refused_at is not None and self._monotonic_s() - refused_at < REFUSED_FOR_S:
            raise InvalidCredentials
        principal = self._remembered(digest) or await self._asked(digest)
        if principal is None:
            raise InvalidCredentials
        return principal

    async def close(self) -> None:
        """Ends what goes on in the background."""
        await self._questions.close()

    def _remembered(self, digest: str) -> Principal | None:
        """Whose key it is, where that may be used without waiting."""
        known = self._known.get(digest)
        if known is None:
            return None
        now = self._monotonic_s()
        age_s, failed_s = now - known.at, now - known.asked_in_vain_at
        is_fresh = age_s < self._fresh_s
        if not is_fresh and not (age_s < self._stale_s and failed_s < self._fresh_s):
            return None
        if age_s > self._fresh_s / 2 and failed_s >= ASKED_AGAIN_S:
            self._questions.launch(digest, lambda: self._ask_and_remember(digest))
        return known.principal

    async def _asked(self, digest: str) -> Principal | None:
        question = self._questions.join(digest, lambda: self._ask_and_remember(digest))
        known = self._known.get(digest)
        if known is None or self._monotonic_s() - known.at >= self._stale_s:
            return await question
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await question
        except (PeerUnavailable, TimeoutError):
            known.asked_in_vain_at = self._monotonic_s()
            return known.principal

    async def _ask_and_remember(self, digest: str) -> Principal | None:
        asked_at = self._monotonic_s()
        try:
            found = await self._ask(digest)
        except PeerUnavailable:
            known = self._known.get(digest)
            if known is not None:
                known.asked_in_vain_at = self._monotonic_s()
            raise
        if found is None:
            self._known.drop(digest)
            self._refused_at.put(digest, asked_at)
            return None
        principal = _principal(found)
        self._refused_at.drop(digest)
        self._known.put(digest, _Known(principal=principal, at=asked_at))
        return principal


def _principal(found: ApiKeyPrincipal) -> Principal:
    return Principal(
        owner=found.owner,
        user_id=None,
        role=None,
        scopes=known_scopes(found.scopes),
        kind="api_key",
        test=found.kind == "test",
        key_id=found.key_id,
    )
