"""The witnesses' journals."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from carillon.prove.witness.journal import (
    Answered,
    Asked,
    Call,
    Effect,
    Ended,
    FaultBegun,
    FaultEnded,
    Intent,
    JournalWriter,
    Record,
    Silent,
    read_journal,
)

EFFECT = Effect(t=3.5, mark="aaaaaaaa", to="ann@example.com", message_id="1@x")
ALL: list[Record] = [
    Intent(t=1.0, mark="aaaaaaaa", key="k", channel="email", category="transactional"),
    Asked(t=1.5, key="k", ask=1),
    Silent(t=2.0, key="k", ask=1, why="reset", ms=12.5),
    Answered(t=3.0, key="k", ask=2, status=202, ms=8.0, replayed=True, ids={"aaaaaaaa": "id"}),
    Answered(t=3.0, key="k", ask=3, status=503, ms=8.0, kind="unavailable", retry_after_s=2.0),
    EFFECT,
    Call(t=4.0, mark="", did="refuse_temporarily"),
    FaultBegun(t=5.0, name="redis killed"),
    FaultEnded(t=6.0, name="redis killed"),
    Ended(t=7.0),
]


def test_every_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with JournalWriter(path) as journal:
        for record in ALL:
            journal.write(record)
        assert read_journal(path) == ALL
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_says_what_it_is_in_e(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with JournalWriter(path) as journal:
        journal.write(FaultBegun(t=5.0, name="redis killed"))
    assert path.read_text() == '{"e":"fault_begun","t":5.0,"name":"redis killed"}\n'


def test_a_torn_last_line_is_left_out_and_then_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with JournalWriter(path) as journal:
        journal.write(EFFECT)
    with path.open("ab") as file:
        file.write(b'{"e":"effect","mark":"bbbb')
    assert read_journal(path) == [EFFECT]
    with JournalWriter(path) as journal:
        journal.write(Ended(t=1.0))
    assert read_journal(path) == [EFFECT, Ended(t=1.0)]


@pytest.mark.parametrize("left", [b"", b"\n", b"x" * 200_000])
def test_a_journal_without_a_whole_line_begins_anew(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(left)
    with JournalWriter(path) as journal:
        journal.write(EFFECT)
    assert read_journal(path) == [EFFECT]


@pytest.mark.parametrize("line", [b"nonsense", b'{"e":"dreamt","t":1}', b'{"e":"effect","t":1}', b"\xff"])
def test_any_other_line_that_is_no_record_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'{"e":"ended","t":1}\n' + line + b'\n{"e":"ended","t":2}\n')
    with pytest.raises(ValueError, match="journal, line 2"):
        read_journal(path)


class Disk:
    """In place of `os.fsync`: lets each call through only when it is told to, and counts them."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.failure: OSError | None = None

    def fsync(self, _: int) -> None:
        self.calls += 1
        self.begun.release()
        assert self.may_end.acquire(timeout=30)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.fsync)
    return disk


async def test_those_who_wait_at_once_share_an_fsync_that_began_after_they_wrote(
    tmp_path: Path, disk: Disk
) -> None:
    with JournalWriter(tmp_path / "journal") as journal:
        journal.write(EFFECT)
        first = asyncio.create_task(journal.flush())
        assert await asyncio.to_thread(disk.begun.acquire, timeout=30)
        journal.write(EFFECT)
        later = [asyncio.create_task(journal.flush()) for _ in range(5)]
        disk.may_end.release()
        await first
        assert await asyncio.to_thread(disk.begun.acquire, timeout=30)
        assert not any(task.done() for task in later)
        disk.may_end.release()
        await asyncio.gather(*later)
        await journal.flush()
    assert disk.calls == 2


async def test_after_a_failed_fsync_nothing_is_ever_said_to_be_on_disk(tmp_path: Path, disk: Disk) -> None:
    disk.failure = OSError("the disk is gone")
    disk.may_end.release(2)
    with JournalWriter(tmp_path / "journal") as journal:
        for _ in range(2):
            journal.write(EFFECT)
            with pytest.raises(OSError, match="the disk is gone"):
                await journal.flush()
    assert disk.calls == 1


async def test_one_who_gives_up_does_not_end_the_fsync_of_the_others(tmp_path: Path, disk: Disk) -> None:
    with JournalWriter(tmp_path / "journal") as journal:
        journal.write(EFFECT)
        impatient, patient = (asyncio.create_task(journal.flush()) for _ in range(2))
        assert await asyncio.to_thread(disk.begun.acquire, timeout=30)
        impatient.cancel()
        disk.may_end.release()
        await patient
        assert impatient.cancelled()
