"""One direction of one connection."""

import asyncio
import fcntl
import sys
import termios
import time
from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from carillon.prove.wires.course import Course
from carillon.prove.wires.orders import Passage

MOST_QUEUED = 1 << 20
"""Bytes that may wait for their time; then the source is read no more. One read more may come on top."""
_FLUSH_EVERY_S = 0.005
_FLUSH_TRIES = 100


class Mark(Enum):
    """What a source can send beside bytes."""

    END = auto()
    RESET = auto()


class Flow:
    """Takes what `source` sends, and gives it to `sink` as the course says, in order. `ended` is called when
    the sink was told of the end, `reset` when a reset of the source, or a tear, has come through."""

    def __init__(self, course: Course, *, ended: Callable[[], None], reset: Callable[[], None]) -> None:
        self.source: asyncio.Transport | None = None
        self.is_over = False
        """The sink was told that no more comes."""
        self._course = course
        self._sink: asyncio.Transport | None = None
        self._sink_is_full = False
        self._ended = ended
        self._reset = reset
        self._queue: deque[tuple[float, bytes | Mark]] = deque()
        self._queued = 0
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.TimerHandle | None = None
        self._is_paused = False
        self._last: Mark | None = None
        self._goes_nowhere = False

    @property
    def has_ended(self) -> bool:
        """The source sends no more."""
        return self._last is not None

    def connect(
        self, *, source: asyncio.Transport | None = None, sink: asyncio.Transport | None = None
    ) -> None:
        """One side is there."""
        self.source = source or self.source
        self._sink = sink or self._sink
        self.run()

    def feed(self, data: bytes) -> None:
        """The source sent this."""
        course = self._course
        course.carried += len(data)
        if self._last is not None:
            return
        if course.is_plain and not self._queue and self._sink is not None:
            self._sink.write(data)
        elif not (self._goes_nowhere or course.passage is Passage.SWALLOW):
            passing = course.until_torn(len(data))
            self._append(data if passing is None else data[:passing])
            if passing is not None:
                self.close(Mark.RESET)

    def close(self, mark: Mark) -> None:
        """The source sends no more; after its end there can still be a reset."""
        if self._last not in (mark, Mark.RESET):
            self._last = mark
            self._append(mark)

    def drop(self) -> None:
        """The sink is gone: throw away what waits and what comes."""
        self._goes_nowhere = True
        self._sink = None
        self._queue.clear()
        self._queued = 0
        self._sink_is_full = False
        self.run()

    def stop(self) -> None:
        """Both sides are gone."""
        self._last = Mark.RESET
        self.source = None
        self.drop()
        if self._flushing is not None:
            self._flushing.cancel()

    def hold_back(self, is_full: bool) -> None:
        """Whether the sink has as much as it can take."""
        self._sink_is_full = is_full
        self._regulate()

    def run(self) -> None:
        """Hand on what is due, and see when the next is; also when the course has changed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue and self._sink is not None:
            due, item = self._queue[0]
            if self._course.passage is Passage.DELAY:
                wait_s = due - time.monotonic()
                if wait_s > 0:
                    self._timer = asyncio.get_running_loop().call_later(wait_s, self.run)
                    break
            swallowed = self._course.passage is Passage.SWALLOW and isinstance(item, bytes)
            if self._course.passage in (Passage.BLACK_HOLE, Passage.SWALLOW) and not swallowed:
                break
            self._queue.popleft()
            self._queued -= len(item) if isinstance(item, bytes) else 0
            if not swallowed:
                self._hand_on(item)
        self._regulate()

    def _append(self, item: bytes | Mark) -> None:
        self._queue.append((time.monotonic() + self._course.lag_s(), item))
        self._queued += len(item) if isinstance(item, bytes) else 0
        self.run()

    def _hand_on(self, item: bytes | Mark) -> None:
        sink = self._sink
        if sink is None or sink.is_closing():
            return
        if isinstance(item, bytes):
            sink.write(item)
        elif item is Mark.END:
            self.is_over = True
            sink.write_eof()
            self._ended()
        else:
            self._reset_when_flushed(_FLUSH_TRIES)

    def _reset_when_flushed(self, tries: int) -> None:
        # A reset throws away what is not sent yet; a peer that does not read gets less.
        if self._sink is not None and tries > 0 and _holds_unsent(self._sink):
            loop = asyncio.get_running_loop()
            self._flushing = loop.call_later(_FLUSH_EVERY_S, self._reset_when_flushed, tries - 1)
        else:
            self._reset()

    def _regulate(self) -> None:
        source = self.source
        if source is None or source.is_closing() or self._last is not None:
            return
        waits_for_sink = not self._goes_nowhere and (self._sink is None or self._sink_is_full)
        pause = waits_for_sink or self._queued >= MOST_QUEUED or self._course.passage is Passage.BLACK_HOLE
        if pause and not self._is_paused:
            source.pause_reading()
            self._is_paused = True
        elif self._is_paused and not pause:
            source.resume_reading()
            self._is_paused = False


def _holds_unsent(sink: asyncio.Transport) -> bool:
    """Whether there are bytes in the transport's buffer, or, where the system tells, in the socket's (tcp(7),
    SIOCOUTQ)."""
    if sink.get_write_buffer_size() > 0:
        return True
    if sys.platform != "linux" or sink.is_closing():
        return False
    unsent = fcntl.ioctl(sink.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    return any(unsent)
