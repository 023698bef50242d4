"""Whose credentials were good of late.

They are checked behind the body, and whoever makes some up has as many as he likes. So a caller is who was
vouched for; all others are strangers, who are told apart by their address. The status alone would not do:
/openapi.json answers 200, and a body that is no JSON is answered 400, to any credentials.
"""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass

from starlette.types import Scope

from shared.process.recent import RecentlyUsed

MOST_KNOWN = 4096
UNAUTHORIZED = 401
_SCOPE_KEY = "carillon.caller"
_REFUSED_KEY = "carillon.credentials_refused"


def vouch_for(scope: Scope, caller: Hashable) -> None:
    """The credentials of this request are good, and are `caller`'s."""
    scope[_SCOPE_KEY] = caller


def disown(scope: Scope) -> None:
    """The credentials of this request are not good, though its answer is no 401: it leads to a login."""
    scope[_REFUSED_KEY] = True


def are_refused(scope: Scope, *, status: int) -> bool:
    """Whether an answer with this status tells that the credentials are not good."""
    return status == UNAUTHORIZED or _REFUSED_KEY in scope


@dataclass(kw_only=True)
class _Check:
    """Requests in hand with credentials that are not known yet; `good`: what the first answer told."""

    in_hand: int
    good: asyncio.Future[bool]


class Acquaintances:
    """By digest of their credentials; the longest unused is forgotten first. `most_waiting`: so many at most
    wait for an answer to others."""

    def __init__(self, *, most_waiting: int, wait_s: float) -> None:
        self._known = RecentlyUsed[bytes, Hashable](max_items=MOST_KNOWN, max_weight=MOST_KNOWN)
        self._checks: dict[bytes, _Check] = {}
        self._most_waiting = most_waiting
        self._wait_s = wait_s
        self._waiting = 0

    def caller(self, digest: bytes) -> Hashable | None:
        """Whose credentials they are; None where that is not known."""
        return self._known.get(digest)

    def begin(self, digest: bytes) -> None:
        """A request of a stranger is in hand."""
        check = self._checks.get(digest)
        if check is None:
            good = asyncio.get_running_loop().create_future()
            check = self._checks[digest] = _Check(in_hand=0, good=good)
        check.in_hand += 1

    def end(self, digest: bytes) -> None:
        """It is no longer."""
        check = self._checks[digest]
        check.in_hand -= 1
        if not check.in_hand:
            del self._checks[digest]
            self._conclude(check, good=False)

    def answered(self, digest: bytes, scope: Scope, *, status: int) -> None:
        """What the beginning of an answer to a stranger tells of the credentials."""
        caller = scope.get(_SCOPE_KEY)
        if caller is not None:
            self._known.put(digest, caller)
        check = self._checks.get(digest)
        if check is not None and (caller is not None or are_refused(scope, status=status)):
            self._conclude(check, good=caller is not None)

    def refused(self, digest: bytes) -> None:
        """They are no longer good."""
        self._known.drop(digest)

    async def made(self, digest: bytes) -> bool:
        """Whether these credentials are known, after the first answer to a request with them that is in
        hand: many may come at once with credentials that are new here."""
        check = self._checks.get(digest)
        if check is None or self._waiting >= self._most_waiting:
            return self._known.get(digest) is not None
        self._waiting += 1
        try:
            await asyncio.wait([check.good], timeout=self._wait_s)
        finally:
            self._waiting -= 1
        return check.good.done() and check.good.result()

    def _conclude(self, check: _Check, *, good: bool) -> None:
        if not check.good.done():
            check.good.set_result(good)
