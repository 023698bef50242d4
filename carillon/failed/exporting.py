"""Writing failures to a file, one JSON object on each line, as GET /failed/{id} has them."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from carillon.api import Api
from carillon.failed.client import formatted, pages
from carillon.failed.screen import Screen
from carillon.setup_error import SetupError

STDOUT = "-"
_AT_A_TIME = 8
_GONE = 404


class _Listed(msgspec.Struct, frozen=True):
    id: str


async def export(
    api: Api, query: Mapping[str, str], sink: IO[bytes], *, advance: Callable[[int], None]
) -> tuple[int, int]:
    """How many were written, and how many were gone by the time they were to be read.

    One page of a list and eight failures are in memory at a time. Raises Refused and OSError.
    """
    written = gone = 0
    async for page in pages(api, "/failed", query):
        ids = [msgspec.json.decode(item, type=_Listed).id for item in page]
        for start in range(0, len(ids), _AT_A_TIME):
            some = ids[start : start + _AT_A_TIME]
            answers = await asyncio.gather(*(api.get(f"/failed/{id_}") for id_ in some))
            for answer in answers:
                if answer.status == _GONE:
                    gone += 1
                    continue
                sink.write(f"{formatted(answer, indent=-1)}\n".encode())
                written += 1
            advance(len(some))
    return written, gone


@contextmanager
def private_file(name: str) -> Iterator[IO[bytes]]:
    """`-` is stdout. A file takes its name once it is whole, in place of one that was there; its owner alone
    can read it. Raises SetupError where it cannot be."""
    if name == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name).resolve()
    if path.exists() and not path.is_file():
        raise SetupError(f"{name} is no ordinary file: `-o -` writes to stdout.")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise SetupError(f"{name} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def export_bar(screen: Screen, total: int | None) -> Iterator[Callable[[int], None]]:
    """Moves on by as many as what is given is called with."""
    columns = (TextColumn("Exported"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen.err, disable=not screen.err.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)
