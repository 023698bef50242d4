"""What has arrived at the sink, read while it is being written."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_MESSAGE_ID = re.compile(rb"^message-id:\s*<([^>\r\n]+)>", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One mail: when (`time.monotonic_ns()`), and the id of its notification."""

    at_ns: int
    notification_id: str


class Journal(Protocol):
    """A sink's own record."""

    def read(self) -> list[Arrival]:
        """What has come since the last call, in the order in which it came."""
        ...


class _GrowingFile:
    """Read by whole lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new_lines(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return b""
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole


class SinkJournal:
    """Of the bundled sink. Clock readings of two processes can be compared: the clock is the machine's."""

    def __init__(self, path: Path) -> None:
        self._file = _GrowingFile(path)

    def read(self) -> list[Arrival]:
        """With the time that the sink noted."""
        arrivals = []
        for line in self._file.new_lines().splitlines():
            at_ns, _, message_id = line.partition(b" ")
            arrivals.append(Arrival(int(at_ns), notification_of(message_id)))
        return arrivals


class DumpJournal:
    """Of Postfix's smtp-sink, which dumps whole mails and notes seconds only: the time is that of reading.

    Mails of several connections stand one after another or, where they are longer than its buffer of
    4 KiB, in pieces of that size; a header stands in the first.
    """

    def __init__(self, path: Path) -> None:
        self._file = _GrowingFile(path)

    def read(self) -> list[Arrival]:
        """As late as it is called."""
        now_ns = time.monotonic_ns()
        found = _MESSAGE_ID.findall(self._file.new_lines())
        return [Arrival(now_ns, notification_of(each)) for each in found]


def notification_of(message_id: bytes) -> str:
    """The notification that a Message-ID belongs to: what stands before the first dot or @."""
    return message_id.decode("ascii", "replace").partition("@")[0].partition(".")[0]
