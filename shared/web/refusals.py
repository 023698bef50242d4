"""How a request is refused that found no place: cheaply, for nine of ten may be.

Refusals are counted, and told of in the log once a second together. Where they come faster than they can be
answered they wait, and not the work that is in hand.
"""

import asyncio
import random
from collections import Counter
from enum import Enum

import structlog
from starlette.types import Message, Receive, Scope, Send

from shared.process.correlation import correlation_scope, new_correlation_id
from shared.process.metrics import counter
from shared.web.correlation import of_caller, with_correlation_id
from shared.web.problems import ApiProblem, problem_response
from shared.web.rounds import Rounds

log = structlog.get_logger()

_RETRY_AFTER_S = range(1, 4)
_LOG_EVERY_S = 1.0
_LARGE_BYTES = 64 * 1024
LEAST_A_ROUND, MOST_A_ROUND = 32, 128
"""Of the event loop. A request in hand needs ten rounds or so."""

_refused = counter("admission_refused", "Requests refused before their body was read", ("reason",))


class Refusal(Enum):
    """Why there is no place; the value is the metric's label."""

    FULL = "full"
    STRANGERS_FULL = "strangers_full"
    BULK_FULL = "bulk_full"
    CALLER_FULL = "caller_full"


class Refusals:
    """Answers 503 or 429. `body_s`: how long the rest of a large body may take to come."""

    def __init__(self, *, body_s: float) -> None:
        self._body_s = body_s
        self._counters = {refusal: _refused.labels(refusal.value) for refusal in Refusal}
        self._not_logged: Counter[str] = Counter()
        self._rounds = Rounds(least=LEAST_A_ROUND, most=MOST_A_ROUND)

    def problem(self, refusal: Refusal) -> ApiProblem:
        """To be answered by somebody else."""
        self._counters[refusal].inc()
        if not self._not_logged:
            asyncio.get_running_loop().call_later(_LOG_EVERY_S, self._log)
        self._not_logged[refusal.value] += 1
        return random.choice(_PROBLEMS[refusal])

    async def answer(
        self, refusal: Refusal, scope: Scope, receive: Receive, send: Send, *, body_bytes: int
    ) -> None:
        """`body_bytes`: how much the client may be about to send."""
        problem = self.problem(refusal)
        await self._rounds.turn()
        correlation_id = of_caller(scope) or new_correlation_id()
        with correlation_scope(correlation_id):
            response = problem_response(problem, path=scope["path"])
        send = with_correlation_id(send, correlation_id)
        # What is small the server reads and drops by itself.
        if body_bytes <= _LARGE_BYTES:
            await response(scope, receive, send)
            return
        response.headers["Connection"] = "close"
        await response(scope, receive, _not_the_last(send))
        await self._drop_body(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drop_body(self, receive: Receive) -> None:
        """Closing now could take the answer away from a client that looks for it only once everything is
        sent; and one that trickles would stay for ever."""
        try:
            async with asyncio.timeout(self._body_s):
                while (await receive()).get("more_body", False):
                    pass
        except TimeoutError:
            pass

    def _log(self) -> None:
        log.warning("admission.refused", **self._not_logged)
        self._not_logged.clear()


def _not_the_last(send: Send) -> Send:
    """As `send`, with the answer left open: what has been sent is whole, by its length."""

    async def send_and_go_on(message: Message) -> None:
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

    return send_and_go_on


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
