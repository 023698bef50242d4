"""What is shown live, by server-sent events: made once for all who watch it, and only while somebody does.

A stream holds neither a connection to the database nor a place of the admission: it waits for what the one
task of its topic makes.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from shared.process.metrics import gauge

log = structlog.get_logger()

MOST_STREAMS = 50
MOST_OF_ONE = 10
EVERY_S = 2.0
SIGN_OF_LIFE_S = 15.0
"""Proxies close a connection that says nothing for a minute."""
LONGEST_S = 3_600.0
TAKEN_WITHIN_S = 5.0
_RECONNECT_MS = 3_000

Make = Callable[[], Awaitable[str]]

_streams = gauge("console_streams", "Browsers that watch a page of the console live")


class TooManyWatch(Exception):
    """All streams are taken, or all that one account may have."""


class _Topic:
    """One thing that is watched; `latest` is kept while somebody does. What is made is numbered: `begun` is
    the last that was begun, `made` the last that was finished."""

    def __init__(self, name: str, make: Make, *, every_s: float) -> None:
        self.watchers = 0
        self.latest: str | None = None
        self.begun = 0
        self.made = 0
        self._name = name
        self._make = make
        self._every_s = every_s
        self._next: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name=f"console {name}")

    async def changes(self, *, within_s: float) -> bool:
        """Whether the next one came within that time; waits for it."""
        done, _ = await asyncio.wait([self._next], timeout=within_s)
        return bool(done)

    def wake(self) -> None:
        """Everybody looks up."""
        if not self._next.done():
            self._next.set_result(None)

    def end(self) -> None:
        """Nobody watches."""
        self._task.cancel()
        self.wake()

    async def _run(self) -> None:
        while True:
            self.begun += 1
            try:
                self.latest = await self._make()
                self.made = self.begun
            except Exception:
                log.exception("console.not_made", topic=self._name)
            self.wake()
            self._next = asyncio.get_running_loop().create_future()
            await asyncio.sleep(self._every_s)


class Live:
    """All topics of this process. `most` streams at once, `most_of_one` for one account; `longest_s` each,
    then the browser comes again."""

    def __init__(
        self,
        *,
        most: int = MOST_STREAMS,
        most_of_one: int = MOST_OF_ONE,
        every_s: float = EVERY_S,
        longest_s: float = LONGEST_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._every_s = every_s
        self._longest_s = longest_s
        self._monotonic = monotonic
        self._topics: dict[str, _Topic] = {}
        self._watching: Counter[Hashable] = Counter()
        self._stopped = False
        _streams.set_function(lambda: self.watching)

    @property
    def watching(self) -> int:
        """Streams that are open."""
        return self._watching.total()

    def latest(self, topic: str) -> str | None:
        """What is shown now to those who watch it."""
        found = self._topics.get(topic)
        return None if found is None else found.latest

    def open(self, topic: str, make: Make, *, who: Hashable, for_s: float) -> "Stream":
        """Events for one browser of the account `who`: what `make` makes from now on, whenever it changes;
        for `for_s` seconds at most. What was begun before is not shown: the page may be newer. Its place is
        taken until it is closed. Raises TooManyWatch."""
        if self.watching >= self._most or self._watching[who] >= self._most_of_one or self._stopped:
            raise TooManyWatch
        self._watching[who] += 1
        found = self._topics.get(topic)
        if found is None:
            found = self._topics[topic] = _Topic(topic, make, every_s=self._every_s)
        found.watchers += 1
        until = self._monotonic() + min(for_s, self._longest_s)
        return Stream(self, topic, found, who=who, until=until)

    def stop(self) -> None:
        """End every stream now, and begin none: the process is about to stop."""
        self._stopped = True
        for topic in self._topics.values():
            topic.end()

    def left_s(self, until: float) -> float:
        """Seconds that a stream may go on; 0 once the process is about to stop."""
        return 0.0 if self._stopped else until - self._monotonic()

    def leave(self, name: str, topic: _Topic, *, who: Hashable) -> None:
        """One less watches; without any, nothing is made any more."""
        self._watching[who] -= 1
        if not self._watching[who]:
            del self._watching[who]
        topic.watchers -= 1
        if not topic.watchers:
            topic.end()
            if self._topics.get(name) is topic:
                del self._topics[name]


class Stream:
    """The events for one browser. Iterate once, and close it however that ended."""

    def __init__(self, live: Live, name: str, topic: _Topic, *, who: Hashable, until: float) -> None:
        self._live = live
        self._name = name
        self._topic = topic
        self._after = topic.begun
        self._who = who
        self._until = until
        self._open = True

    def close(self) -> None:
        """Free its place; again, it does nothing."""
        if self._open:
            self._open = False
            self._live.leave(self._name, self._topic, who=self._who)

    async def events(self) -> AsyncIterator[bytes]:
        """Until its time is over."""
        yield f"retry: {_RECONNECT_MS}\n\n".encode()
        shown: str | None = None
        while (left_s := self._live.left_s(self._until)) > 0:
            if self._topic.made > self._after and self._topic.latest != shown:
                shown = self._topic.latest
                yield event("state", shown or "")
            elif not await self._topic.changes(within_s=min(left_s, SIGN_OF_LIFE_S)):
                yield b": still here\n\n"


class EventStream(StreamingResponse):
    """The answer. A browser that takes nothing for `TAKEN_WITHIN_S` (a telephone asleep) is left."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream.events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(TAKEN_WITHIN_S):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except TimeoutError:
            log.info("console.stream_left")
        finally:
            self._stream.close()


def event(name: str, text: str) -> bytes:
    """In the form of server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {name}\n{lines}\n".encode()
