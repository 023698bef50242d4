"""Seeing one request through: ask, write down what was heard, ask again."""

import asyncio
import random
import time
from collections import Counter

from carillon.prove.witness.client_plan import ClientPlan
from carillon.prove.witness.client_requests import Request, answered
from carillon.prove.witness.http_connection import HttpConnection, Silence
from carillon.prove.witness.journal import Answered, Asked, JournalWriter, Silent

ASKED_AGAIN = frozenset({409, 429, 502, 503, 504})
_FIRST_PAUSE_S = 0.1


class AskedLate(Asked, frozen=True, kw_only=True, tag="asked"):
    """In an open loop: so late, in milliseconds, is what was due before."""

    late_ms: float


def pause_s(record: Answered | Silent, plan: ClientPlan, *, jitter: float) -> float | None:
    """How long to wait before the next ask; None where there is none to be. `jitter` is 0 to 1: those who
    were refused together do not come back together."""
    if plan.retry == "none" or (isinstance(record, Answered) and record.status not in ASKED_AGAIN):
        return None
    backoff = min(plan.longest_pause_s, _FIRST_PAUSE_S * 2.0 ** min(record.ask - 1, 20)) * (0.5 + jitter / 2)
    told = record.retry_after_s if isinstance(record, Answered) else None
    if told is None:
        return backoff
    return min(plan.longest_pause_s, told + backoff * jitter)


class Asking:
    """Requests on a fixed number of connections. Whatever is written about them is written before they go
    out, so that a client that dies has not asked for anything that its journal does not know.

    `enough`: nothing is asked for the first time any more.
    """

    def __init__(self, plan: ClientPlan, journal: JournalWriter, *, enough: asyncio.Event) -> None:
        self._plan, self._journal, self._enough = plan, journal, enough
        self._random = random.Random(f"pauses {plan.seed}")
        self._connections = [HttpConnection(plan.host, plan.port) for _ in range(plan.connections)]
        # The last one used comes first: under little load few connections are open.
        self._free: asyncio.LifoQueue[HttpConnection] = asyncio.LifoQueue()
        for connection in self._connections:
            self._free.put_nowait(connection)
        self.notifications = 0
        self.asks = 0
        self.skipped = 0
        self.answers: Counter[str] = Counter()
        self.silences: Counter[str] = Counter()
        self.late_ms = 0.0

    async def see_through(self, request: Request, *, due: float | None) -> Answered | Silent | None:
        """Until it is answered for good or given up: the last that was heard. `due`: on `time.monotonic()`'s
        clock. Raises OSError where the journal cannot be written."""
        ask, give_up_at, heard = 0, float("inf"), None
        while True:
            connection = await self._free.get()
            try:
                if self._is_over(ask, give_up_at):
                    self.skipped += ask == 0
                    return heard
                ask += 1
                heard = await self._ask(request, connection, ask=ask, due=due)
            finally:
                self._free.put_nowait(connection)
            now = time.monotonic()
            if ask == 1:
                give_up_at = now - heard.ms / 1000 + self._plan.give_up_s
            pause = pause_s(heard, self._plan, jitter=self._random.random())
            if pause is None or now + pause > give_up_at:
                return heard
            await asyncio.sleep(pause)

    def close(self) -> None:
        """Drop the connections."""
        for connection in self._connections:
            connection.close()

    def _is_over(self, ask: int, give_up_at: float) -> bool:
        return time.monotonic() > give_up_at if ask else self._enough.is_set()

    async def _ask(
        self, request: Request, connection: HttpConnection, *, ask: int, due: float | None
    ) -> Answered | Silent:
        if ask == 1:
            self.notifications += len(request.wishes)
            for intent in request.intents():
                self._journal.write(intent)
        sent = time.monotonic()
        if ask > 1 or due is None:
            self._journal.write(Asked(key=request.key, ask=ask))
        else:
            late_ms = max(0.0, 1000 * (sent - due))
            self.late_ms = max(self.late_ms, late_ms)
            self._journal.write(AskedLate(key=request.key, ask=ask, late_ms=round(late_ms, 1)))
        self.asks += 1
        answer = await connection.ask(request.sent, within_s=self._plan.timeout_s)
        ms = round(1000 * (time.monotonic() - sent), 2)
        record: Answered | Silent
        if isinstance(answer, Silence):
            self.silences[answer.why] += 1
            record = Silent(key=request.key, ask=ask, why=answer.why, ms=ms)
        else:
            self.answers[str(answer.status)] += 1
            record = answered(request, answer, ask=ask, ms=ms)
        self._journal.write(record)
        return record
