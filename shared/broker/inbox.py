"""What a consumer has prefetched, and how it is handed out: the same for every transport."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

DeliveryT = TypeVar("DeliveryT")


class Inbox(Generic[DeliveryT]):
    """Hands out deliveries in order while not paused, at most `prefetch` unfinished at a time.

    The limit holds across a lost connection too: what was handed out before still counts until it is
    finished, although the broker no longer knows of it.
    """

    def __init__(self, *, prefetch: int) -> None:
        self._prefetch = prefetch
        self._waiting: deque[DeliveryT] = deque()
        self._unfinished = 0
        self._allowance: int | None = None
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def room(self) -> int:
        """How many more may be taken from the broker; 0 while paused or closed."""
        if self._closed:
            return 0
        most = self._prefetch if self._allowance is None else self._unfinished + self._allowance
        return max(0, min(most, self._prefetch) - self._unfinished - len(self._waiting))

    @property
    def closed(self) -> bool:
        """Whether nothing more is handed out."""
        return self._closed

    def put(self, delivery: DeliveryT) -> bool:
        """Take one in; False where the inbox is closed and the delivery belongs back to the broker."""
        if self._closed:
            return False
        self._waiting.append(delivery)
        self._changed.set()
        return True

    def finished(self) -> None:
        """One that was handed out is finished."""
        self._unfinished -= 1
        self._changed.set()

    def pause(self) -> None:
        """Hand out nothing until `resume`."""
        self._allowance = 0

    def resume(self, *, at_most: int | None = None) -> None:
        """Hand out again; `at_most` so many, and then pause."""
        self._allowance = at_most
        self._changed.set()

    def clear(self) -> list[DeliveryT]:
        """Take out all that was never handed out."""
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    def close(self) -> list[DeliveryT]:
        """End the iteration; returns what was never handed out."""
        self._closed = True
        self._changed.set()
        return self.clear()

    def __aiter__(self) -> "Inbox[DeliveryT]":
        return self

    async def __anext__(self) -> DeliveryT:
        while True:
            if self._closed:
                raise StopAsyncIteration
            if self._waiting and self._allowance != 0 and self._unfinished < self._prefetch:
                self._unfinished += 1
                if self._allowance is not None:
                    self._allowance -= 1
                return self._waiting.popleft()
            self._changed.clear()
            await self._changed.wait()
