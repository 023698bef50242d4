"""What a witness saw, as lines of JSON in a file that only grows.

Field `e` says what a line is, and `t` is `time.time()` in seconds. A `mark` is what the client put into a
notification, 8 to 40 letters and digits: client and providers speak of the same thing by it, without knowing
an id of the product's.
"""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="e", tag=str.lower):
    """What all lines have. `t`: when it is written, unless given."""

    t: float = msgspec.field(default_factory=time.time)


class Intent(Entry, frozen=True, kw_only=True):
    """Client: a notification that is about to be asked for, written before the first request for it.

    A batch writes one for each of its entries, all with the batch's key. `to`: the address or token that
    alone may get it; empty where it goes to a user, whose addresses the client does not know."""

    mark: str
    key: str
    channel: str
    category: str
    to: str = ""


class Asked(Entry, frozen=True, kw_only=True):
    """Client: a request is about to go out; `ask` counts the requests with this key from 1."""

    key: str
    ask: int


class Answered(Entry, frozen=True, kw_only=True):
    """Client: a request was answered, after `ms` milliseconds.

    `kind`: a problem's `type` without what stands before its last colon. `ids` has the accepted marks,
    `refused` the kind of problem of each mark that a batch refused.
    """

    key: str
    ask: int
    status: int
    ms: float
    kind: str = ""
    replayed: bool = False
    retry_after_s: float | None = None
    ids: dict[str, str] = {}
    refused: dict[str, str] = {}


class Silent(Entry, frozen=True, kw_only=True):
    """Client: a request that got no answer. `why`: reset, timeout or refused; after the last, and only then,
    it was certainly not sent."""

    key: str
    ask: int
    why: str
    ms: float


class Ended(Entry, frozen=True, kw_only=True):
    """Client: it ends in order, with nothing under way."""


class Effect(Entry, frozen=True, kw_only=True):
    """Provider: a message now counts as delivered; on disk before the answer goes out. `mark` is empty where
    none was found in it."""

    mark: str
    to: str
    message_id: str


class Call(Entry, frozen=True, kw_only=True):
    """Provider: a call without an effect. `did`: what it did instead."""

    mark: str
    did: str


class FaultBegun(Entry, frozen=True, kw_only=True, tag="fault_begun"):
    """Orchestrator: a fault is there from now on."""

    name: str


class FaultEnded(Entry, frozen=True, kw_only=True, tag="fault_ended"):
    """Orchestrator: a fault was taken away."""

    name: str


Record = Intent | Asked | Answered | Silent | Ended | Effect | Call | FaultBegun | FaultEnded


class JournalWriter:
    """Adds records to a file. One writer at a time: what a former one left half-written is cut off."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        _cut_torn_line(self._file)
        self._encoder = msgspec.json.Encoder()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._written = 0
        self._on_disk = 0
        self._flushing: asyncio.Task[None] | None = None
        self._failure: OSError | None = None

    def write(self, record: Record) -> None:
        """In the file when it returns, safe from this process's end, not from the machine's. Raises OSError
        where not all of it could be written."""
        line = self._encoder.encode(record) + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError("no room for a line of the journal")
        self._written += 1

    async def flush(self) -> None:
        """Return once all that was written before the call is on disk; those who wait at once share an fsync.
        Raises OSError, and then always: after a failed fsync a later one says nothing."""
        wanted = self._written
        while self._on_disk < wanted:
            if self._failure is not None:
                raise self._failure
            if self._flushing is None:
                self._flushing = asyncio.create_task(self._fsync())
            # Shielded, since others wait for it too.
            await asyncio.shield(self._flushing)

    def close(self) -> None:
        """Wait for an fsync under way, and close the file."""
        self._thread.shutdown()
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _fsync(self) -> None:
        reached = self._written
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, os.fsync, self._file)
            self._on_disk = reached
        except OSError as error:
            self._failure = error
        finally:
            self._flushing = None


def read_journal(path: Path) -> list[Record]:
    """All records, in the order in which they were written; a last line that was cut off is left out.

    Raises ValueError where any other line is no record, OSError where there is no file.
    """
    decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
    lines = path.read_bytes().split(b"\n")
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        torn = number == len(lines)
        try:
            if line:
                records.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if not torn:
                raise ValueError(f"{path.name}, line {number}: {error}") from error
    return records


_CHUNK = 64 * 1024


def _cut_torn_line(file: int) -> None:
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - _CHUNK)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    os.ftruncate(file, end)
