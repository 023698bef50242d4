"""What a subscription has received and not yet read: the same for every transport."""

import asyncio
from collections import deque

LONGEST_FEED = 1000
"""Broadcasts that may be unread; a reader that is further behind has missed them, and is told so."""
LONGEST_BROADCAST = 7000
"""Bytes. PostgreSQL carries fewer than 8,000 in a notification."""


class Feed:
    """Bodies in order; None stands for "something may have been missed"."""

    def __init__(self) -> None:
        self._unread: deque[bytes | None] = deque()
        self._closed = False
        self._changed = asyncio.Event()

    def put(self, body: bytes) -> None:
        """A broadcast came."""
        if len(self._unread) >= LONGEST_FEED:
            self.gap()
        self._unread.append(body)
        self._changed.set()

    def gap(self) -> None:
        """Broadcasts may have been missed. What is unread is void with it, since None covers everything."""
        self._unread.clear()
        self._unread.append(None)
        self._changed.set()

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        self._changed.set()

    def __aiter__(self) -> "Feed":
        return self

    async def __anext__(self) -> bytes | None:
        while True:
            if self._closed:
                raise StopAsyncIteration
            if self._unread:
                return self._unread.popleft()
            self._changed.clear()
            await self._changed.wait()


def broadcast_text(body: bytes) -> str:
    """The body as the text that every transport can carry. Raises ValueError."""
    if len(body) > LONGEST_BROADCAST:
        raise ValueError(f"A broadcast has at most {LONGEST_BROADCAST} bytes, not {len(body)}.")
    text = body.decode()
    if "\0" in text:
        raise ValueError("A broadcast must not hold NUL.")
    return text
