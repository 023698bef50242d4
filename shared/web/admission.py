"""How much is in hand at once: whoever finds no place is refused before a byte of the body is read.

A place stands for so much of body, so that the places bound the memory too (decoded and checked, it takes
eight times as much): a large body needs several, and one whose length is not told needs as many as the
largest. Who finds none waits for a moment; first come, first served, batches after all others. Batches hold
a quarter of the places at most.

At ten times the rate that can be held nine of ten requests end here. So a refusal costs as little as it can:
it is counted, and told of in the log once a second together with the others. And where they come faster than
they can be answered, they wait, and not the work that is in hand.
"""

import asyncio
import hashlib
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.process.correlation import correlation_scope, new_correlation_id
from shared.process.metrics import counter, gauge
from shared.web.correlation import of_caller, with_correlation_id
from shared.web.observation import QUIET_PATHS
from shared.web.places import Places
from shared.web.problems import ApiProblem, problem_response

log = structlog.get_logger()

BYTES_A_PLACE = 128 * 1024
BULK_BYTES_A_PLACE = 256 * 1024
"""A batch of a thousand ordinary entries fits in."""
_RETRY_AFTER_S = range(1, 4)
_LOG_EVERY_S = 1.0
_REFUSALS_A_ROUND = 32
"""Some 2 ms of CPU; a request in hand takes about ten rounds of the event loop."""
_DOCS = "/docs"

_taken = gauge("admission_places_taken", "Places for requests in hand that are taken", ("kind",))
_waiting = gauge("admission_waiting", "Requests that wait for a place", ("kind",))
_refused = counter("admission_refused", "Requests refused before their body was read", ("reason",))


class Refusal(Enum):
    """Why there is no place; the value is the metric's label."""

    FULL = "full"
    BULK_FULL = "bulk_full"
    CALLER_FULL = "caller_full"


@dataclass(frozen=True, kw_only=True)
class Admission:
    """`caller_address` tells callers without credentials apart. `bulk_paths`: of POSTs that bring many at
    once, whole paths. `wait_s`: how long somebody waits for a place."""

    places: int
    places_per_caller: int
    bulk_paths: frozenset[str]
    caller_address: Callable[[Scope], str]
    wait_s: float = 0.05


class _Rounds:
    """Lets so many pass in each round of the event loop, in their order."""

    def __init__(self, each: int) -> None:
        self._each = self._left = each
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turning = False

    async def turn(self) -> None:
        """Wait for a round in which there is room."""
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._next)
        if self._left:
            self._left -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _next(self) -> None:
        self._turning = self._left < self._each
        self._left = self._each
        while self._left and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
        if self._turning:
            asyncio.get_running_loop().call_soon(self._next)


class AdmissionMiddleware:
    """Answers 503 where all places are taken, 429 where one caller has as many as one may. Stands outermost.
    /health, /ready and /metrics are always answered; so is /docs, which is no work, but holds a connection
    for as long as its reader likes."""

    def __init__(self, app: ASGIApp, *, admission: Admission, max_body_bytes: int) -> None:
        self._app = app
        self._admission = admission
        self._largest = max_body_bytes
        self._places = Places(places=admission.places, wait_s=admission.wait_s)
        self._callers: dict[bytes | str, int] = {}
        for name, line in (("single", self._places.single), ("bulk", self._places.bulk)):
            _taken.labels(name).set_function(line.taken_places)
            _waiting.labels(name).set_function(line.waiting.__len__)
        self._counters = {refusal: _refused.labels(refusal.value) for refusal in Refusal}
        self._not_logged: Counter[str] = Counter()
        self._rounds = _Rounds(_REFUSALS_A_ROUND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller, length = self._look_at(scope)
        # With a body it would be read, and held, like any other.
        if length == 0 and always_answered(scope["path"]):
            await self._app(scope, receive, send)
            return
        bulk = scope["path"] in self._admission.bulk_paths and scope["method"] == "POST"
        line = self._places.bulk if bulk else self._places.single
        wanted = 1 + min(length, self._largest) // (BULK_BYTES_A_PLACE if bulk else BYTES_A_PLACE)
        count = min(wanted, line.most, self._admission.places_per_caller)
        held = self._callers.get(caller, 0)
        if held + count > self._admission.places_per_caller:
            await self._refuse(Refusal.CALLER_FULL, scope, receive, send)
            return
        self._callers[caller] = held + count
        try:
            admitted = await self._places.take(line, count)
            if admitted:
                try:
                    await self._app(scope, receive, send)
                finally:
                    self._places.leave(line, count)
        finally:
            self._forget(caller, count)
        if not admitted:
            await self._refuse(Refusal.BULK_FULL if bulk else Refusal.FULL, scope, receive, send)

    def _look_at(self, scope: Scope) -> tuple[bytes | str, int]:
        """Who calls, and the bytes to expect. Credentials are not checked yet, which costs more than a
        refusal may; they are not kept either."""
        caller: bytes | None = None
        length = 0
        for name, value in scope["headers"]:
            if name == b"authorization":
                caller = hashlib.sha256(value).digest()
            elif name == b"content-length" and value.isdigit():
                length = max(length, int(value))
            elif name == b"transfer-encoding":
                length = self._largest
        return caller or self._admission.caller_address(scope), length

    def _forget(self, caller: bytes | str, count: int) -> None:
        left = self._callers[caller] - count
        if left:
            self._callers[caller] = left
        else:
            del self._callers[caller]

    async def _refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        # What the client still sends is read by the server and dropped: closing now could take the answer
        # away from a client that looks for it only once everything is sent.
        self._counters[refusal].inc()
        if not self._not_logged:
            asyncio.get_running_loop().call_later(_LOG_EVERY_S, self._log)
        self._not_logged[refusal.value] += 1
        await self._rounds.turn()
        correlation_id = of_caller(scope) or new_correlation_id()
        with correlation_scope(correlation_id):
            response = problem_response(random.choice(_PROBLEMS[refusal]), path=scope["path"])
        await response(scope, receive, with_correlation_id(send, correlation_id))

    def _log(self) -> None:
        log.warning("admission.refused", **self._not_logged)
        self._not_logged.clear()


def always_answered(path: str) -> bool:
    """Whether a request for `path` needs no place, where it brings no body."""
    return path in QUIET_PATHS or path.startswith(_DOCS)


def _problem(refusal: Refusal, retry_after_s: int) -> ApiProblem:
    headers = {"Retry-After": str(retry_after_s)}
    if refusal is Refusal.CALLER_FULL:
        return ApiProblem(
            status=429,
            kind="too_many_at_once",
            title="Too many requests of yours at once",
            detail="Wait for answers to the requests that are under way. Nothing was stored.",
            headers=headers,
        )
    what = "More batches are" if refusal is Refusal.BULK_FULL else "More is"
    return ApiProblem(
        status=503,
        kind="overloaded",
        title="More is asked than can be taken in",
        detail=f"{what} asked than can be taken in. Nothing was stored; ask again.",
        headers=headers,
    )


_PROBLEMS = {
    refusal: [_problem(refusal, retry_after_s) for retry_after_s in _RETRY_AFTER_S] for refusal in Refusal
}
"""Each is told another time, so that those who came together do not come back together."""
