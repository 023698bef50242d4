"""A connection that is kept up: opened in the background, and opened anew whenever it is lost."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

import structlog

from shared.broker.interface import BrokerError, BrokerUnavailable
from shared.process.metrics import counter

log = structlog.get_logger()

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
_QUIET_S = 60.0
_connections = counter("broker_connections", "Connections to the broker opened, by purpose", ("purpose",))

ConnectionT = TypeVar("ConnectionT")


class Backoff:
    """Pauses between attempts: 0.1 s, doubling up to 5 s, with jitter."""

    def __init__(self) -> None:
        self._pause_s = FIRST_PAUSE_S

    def next_s(self) -> float:
        """The next pause in seconds."""
        pause_s = self._pause_s
        self._pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        return pause_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """The last attempt went well."""
        self._pause_s = FIRST_PAUSE_S


class Link(Generic[ConnectionT]):
    """Keeps one connection up from `start` to `close`.

    `connect` gets a function to call when the connection is lost, and raises BrokerUnavailable;
    `disconnect` frees what is left of a connection. Both bound their own time and raise nothing else.
    """

    def __init__(
        self,
        *,
        purpose: str,
        connect: Callable[[Callable[[], None]], Awaitable[ConnectionT]],
        disconnect: Callable[[ConnectionT], Awaitable[None]],
    ) -> None:
        self.purpose = purpose
        self._connect = connect
        self._disconnect = disconnect
        self._current: ConnectionT | None = None
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._silent_until = 0.0

    def start(self) -> None:
        """Begin to connect; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_up(), name=f"broker-link-{self.purpose}")

    async def close(self) -> None:
        """Stop and disconnect."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @property
    def connection(self) -> ConnectionT | None:
        """The connection if there is one right now."""
        return self._current

    def require(self) -> ConnectionT:
        """The connection. Raises BrokerUnavailable where there is none right now."""
        if self._current is None:
            raise BrokerUnavailable("There is no connection to the broker.")
        return self._current

    async def wait(self) -> ConnectionT:
        """The connection, as soon as there is one."""
        while self._current is None:
            await self._up.wait()
        return self._current

    def drop(self, connection: ConnectionT) -> None:
        """This connection is no good: open another. One that was dropped before does no harm."""
        if self._current is connection:
            self._lost.set()

    async def _keep_up(self) -> None:
        backoff = Backoff()
        while True:
            lost = self._lost = asyncio.Event()
            try:
                connection = await self._connect(lost.set)
            except Exception as error:
                pause_s = backoff.next_s()
                self._report_failure(error)
                await asyncio.sleep(pause_s)
                continue
            backoff.reset()
            self._silent_until = 0.0
            _connections.labels(self.purpose).inc()
            log.info("broker.connected", purpose=self.purpose)
            try:
                self._current = connection
                self._up.set()
                await lost.wait()
                log.warning("broker.connection_lost", purpose=self.purpose)
            finally:
                self._current = None
                self._up.clear()
                await self._disconnect(connection)
            # One that is lost as soon as it stands must not spin.
            await asyncio.sleep(backoff.next_s())

    def _report_failure(self, error: Exception) -> None:
        if not isinstance(error, BrokerError):
            log.error("broker.connect_failed", purpose=self.purpose, exc_info=error)
            return
        # An outage is one event a minute, not one for each attempt.
        now = asyncio.get_running_loop().time()
        if now >= self._silent_until:
            self._silent_until = now + _QUIET_S
            log.warning("broker.unreachable", purpose=self.purpose, reason=str(error))
