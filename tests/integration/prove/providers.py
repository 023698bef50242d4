"""A fake provider under test, and what it has on record."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from carillon.prove.witness.behaviour import Rule
from carillon.prove.witness.control import Command, Control, Counts
from carillon.prove.witness.journal import Call, Effect, read_journal
from carillon.prove.witness.provider import Place

WITHIN_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Running:
    """One that listens."""

    port: int
    place: Place

    async def order(self, command: Command) -> Counts:
        return await asyncio.to_thread(Control(self.place.control).send, command)

    async def rules(self, *rules: Rule) -> None:
        await self.order(Command(rules=rules, seed=1))

    async def until(self, what: Callable[[Counts], bool]) -> Counts:
        """Asks for the counts until they are as they should be."""
        deadline = time.monotonic() + WITHIN_S
        while not what(counts := await self.order(Command(counts=True))):
            assert time.monotonic() < deadline, counts
            await asyncio.sleep(0.01)
        return counts

    def effects(self) -> list[str]:
        """The marks."""
        return [each.mark for each in read_journal(self.place.journal) if isinstance(each, Effect)]

    def calls(self) -> list[tuple[str, str]]:
        """Mark and what was done, of those without an effect."""
        records = read_journal(self.place.journal)
        return [(each.mark, each.did) for each in records if isinstance(each, Call)]


def a_place(folder: Path, *, port: int = 0) -> Place:
    return Place(port=port, journal=folder / "journal", control=folder / "control")


@asynccontextmanager
async def started(module: str, place: Place, *more: str) -> AsyncIterator[Process]:
    """The provider as a process, from when it is ready; it ends with the test, if not before."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"carillon.prove.witness.{module}", "--port", str(place.port),
        "--journal", str(place.journal), "--control", str(place.control), *more, stdout=PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), WITHIN_S) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
