"""Kept connections to the mail server: a new one costs five times as much as a mail over a kept one."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from email_service.providers.smtp.exchange import Progress, SessionRefused, Stage
from email_service.providers.smtp.session import SmtpSession

log = structlog.get_logger()

IDLE_S = 30.0
"""A connection unused for so long is closed; mail servers close them after 60 to 300 s."""
PROBE_AFTER_S = 5.0
"""A connection unused for so long is asked by NOOP whether it still stands."""
MAILS_PER_CONNECTION = 100
"""Mail servers grow wary of connections that carry more (Postfix, Exchange and Gmail: 100 is usual)."""
NARROWED_FOR_S = 60.0
"""How long a place stays shut that the server had no room for."""


class SmtpPool:
    """At most `limit` connections at once, the last used one first.

    Where the server refuses one more connection with a temporary code while others stand, the pool works
    with one less for a minute, and the mail takes its turn on those that stand.
    """

    def __init__(
        self,
        connect: Callable[[Progress], Awaitable[SmtpSession]],
        *,
        limit: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._monotonic = monotonic
        self._places = asyncio.Semaphore(limit)
        self._kept: deque[SmtpSession] = deque()
        self._open = 0
        self._opening = 0
        self._timers: set[asyncio.TimerHandle] = set()
        self._expiry: asyncio.TimerHandle | None = None
        self._closed = False

    @asynccontextmanager
    async def session(self, progress: Progress) -> AsyncIterator[tuple[SmtpSession, bool]]:
        """A connection, and whether it is a kept one, for one mail; waits for a free one.

        Raises what opening a connection raises.
        """
        session, kept = await self._take(progress)
        try:
            yield session, kept
        finally:
            self._give_back(session)
            self._places.release()

    async def close(self) -> None:
        """Close what is kept; what is in use is closed when it is given back."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._expiry is not None:
            self._expiry.cancel()
        while self._kept:
            self._drop(self._kept.popleft())

    async def _take(self, progress: Progress) -> tuple[SmtpSession, bool]:
        while True:
            progress.stage = Stage.WAITING
            await self._places.acquire()
            try:
                kept = await self._take_kept()
                if kept is not None:
                    return kept, True
                session = await self._open_one(progress)
            except SessionRefused as refused:
                # The last place stays open, and its mail gets the server's answer.
                if not (400 <= refused.reply.code < 500 and self._open + self._opening):
                    self._places.release()
                    raise
                self._shut_place()
            except BaseException:
                self._places.release()
                raise
            else:
                return session, False

    async def _open_one(self, progress: Progress) -> SmtpSession:
        self._opening += 1
        try:
            session = await self._connect(progress)
        finally:
            self._opening -= 1
        self._open += 1
        return session

    async def _take_kept(self) -> SmtpSession | None:
        while self._kept:
            session = self._kept.pop()
            idle_s = self._monotonic() - session.used_at
            fresh = False
            try:
                fresh = idle_s < IDLE_S and await session.refresh(probe=idle_s >= PROBE_AFTER_S)
            finally:
                if not fresh:
                    self._drop(session)
            if fresh:
                return session
        return None

    def _give_back(self, session: SmtpSession) -> None:
        if self._closed or not session.reusable or session.mails >= MAILS_PER_CONNECTION:
            self._drop(session)
            return
        session.used_at = self._monotonic()
        self._kept.append(session)
        if self._expiry is None:
            self._expiry = asyncio.get_running_loop().call_later(IDLE_S, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        oldest_allowed = self._monotonic() - IDLE_S
        while self._kept and self._kept[0].used_at <= oldest_allowed:
            self._drop(self._kept.popleft())
        if self._kept:
            wait_s = max(self._kept[0].used_at - oldest_allowed, 0.1)
            self._expiry = asyncio.get_running_loop().call_later(wait_s, self._expire)

    def _shut_place(self) -> None:
        log.info("smtp.pool_narrowed", connections_open=self._open, for_s=NARROWED_FOR_S)

        def reopen() -> None:
            self._timers.discard(timer)
            self._places.release()

        timer = asyncio.get_running_loop().call_later(NARROWED_FOR_S, reopen)
        self._timers.add(timer)

    def _drop(self, session: SmtpSession) -> None:
        self._open -= 1
        session.close()
