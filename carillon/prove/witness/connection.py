"""Connections to a fake provider: what comes is taken step by step, and a message at a time."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import cast

MOST_CONNECTIONS = 1000
IDLE_S = 300.0
_SWEEP_EVERY_S = 30.0
_MOST_AHEAD = 256 * 1024
_MOST_UNREAD = 256 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connections:
    """Those that stand. One is closed that was silent for 300 s, unless it is the provider that is silent."""

    def __init__(self) -> None:
        self.standing: set[Connection] = set()
        self.hanging: set[Connection] = set()
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Has an exception as soon as a message could not be worked off."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweep = asyncio.get_running_loop().call_later(_SWEEP_EVERY_S, self._close_silent)

    @property
    def full(self) -> bool:
        """Whether one more would be too many."""
        return len(self.standing) > MOST_CONNECTIONS

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Goes on when the connection is lost, as a provider does with a message it has read."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def release(self) -> None:
        """Close those that hang."""
        for connection in tuple(self.hanging):
            connection.abort()

    async def close(self) -> None:
        """Drop all, with what is under way."""
        self._sweep.cancel()
        self.failure.cancel()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in tuple(self.standing):
            connection.abort()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and not self.failure.done():
            self.failure.set_exception(cast(BaseException, task.exception()))

    def _close_silent(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(_SWEEP_EVERY_S, self._close_silent)
        for connection in tuple(self.standing):
            if connection.waits_since is not None and loop.time() - connection.waits_since > IDLE_S:
                connection.abort()


class Connection(asyncio.Protocol):
    """One. What extends it takes one thing at a time out of `buffer`, in `step`."""

    def __init__(self, connections: Connections) -> None:
        self.buffer = bytearray()
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._said: list[bytes] = []
        self._busy = False
        self._silent = False
        self._touched = 0.0

    @property
    def waits_since(self) -> float | None:
        """The loop's time at which the peer last said something; None while it is not its turn."""
        return None if self._busy else self._touched

    def begin(self) -> None:
        """Called when the connection stands."""

    def step(self) -> bool:
        """Work off one thing; False where there is none that is complete."""
        raise NotImplementedError

    def say(self, text: bytes) -> None:
        """Goes out together with whatever else is said at once."""
        self._said.append(text)

    def work(self, work: Callable[[], Awaitable[None]]) -> None:
        """Take no further step until it is done."""
        self._busy = True
        self._connections.start(self._worked(work))

    def hang(self) -> None:
        """Say nothing more, and throw away what comes."""
        if self._transport is not None:
            self._busy = self._silent = True
            self.buffer.clear()
            self._connections.hanging.add(self)

    def reset(self) -> None:
        """End with TCP's RST, without what has not gone out yet."""
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
            )
        self.abort()

    def end(self) -> None:
        """Close after what was said."""
        self._utter()
        self._silent = True
        # The peer's turn now, to read: it has no longer for that than for anything else.
        self._busy = False
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._silent = True
        self._connections.hanging.discard(self)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        # uvloop's transports derive from none of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._touched = asyncio.get_running_loop().time()
        self._connections.standing.add(self)
        self.begin()
        self._go_on()

    def connection_lost(self, _: Exception | None) -> None:
        """See asyncio."""
        self._transport = None
        self._silent = True
        self.buffer.clear()
        self._connections.standing.discard(self)
        self._connections.hanging.discard(self)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._silent:
            return
        self._touched = asyncio.get_running_loop().time()
        self.buffer += data
        if self._busy and len(self.buffer) > _MOST_AHEAD and self._transport is not None:
            self._transport.pause_reading()
        self._go_on()

    async def _worked(self, work: Callable[[], Awaitable[None]]) -> None:
        await work()
        if self._silent:
            self._resume()
            return
        self._busy = False
        self._touched = asyncio.get_running_loop().time()
        self._go_on()
        if not self._busy:
            self._resume()

    def _resume(self) -> None:
        # What hangs reads on too: only so is it noticed when the peer goes.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _go_on(self) -> None:
        while not self._busy and not self._silent and self.step():
            pass
        self._utter()

    def _utter(self) -> None:
        if self._said and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._said))
            if self._transport.get_write_buffer_size() > _MOST_UNREAD:
                self.abort()
        self._said.clear()
