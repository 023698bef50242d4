"""Watching a job until it ends. The job itself goes on in the gateway, whether anybody watches or not."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from uuid import UUID

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from carillon.api import Api
from carillon.api_answers import Answer, Refused
from carillon.failed.client import job, read_job
from carillon.failed.screen import Screen
from shared.contracts.http.reprocessing import JobStatus, ReprocessJob

_UNAVAILABLE = 503
_AWAY = frozenset({0, 429, 500, 502, 503, 504})
OVER = frozenset({JobStatus.STOPPED, JobStatus.CANCELLED, JobStatus.COMPLETED})


@dataclass(frozen=True, kw_only=True)
class Pace:
    """In seconds: how soon to look again, at first and in the end, and how long to go without an answer."""

    first_look_s: float = 0.1
    look_every_s: float = 1.0
    away_s: float = 300.0


async def follow(api: Api, id_: UUID, *, screen: Screen, pace: Pace | None = None) -> Answer:
    """The job once it is over, and whatever it has sent again has ended. Raises Refused."""
    pace = pace or Pace()
    try:
        with _progress(screen) as progress:
            task = progress.add_task("", total=None, words="")
            said = ""
            async for answer in _looks(api, id_, pace=pace, say=screen.say):
                now = read_job(answer)
                settled = now.released + now.skipped - now.in_flight
                total = max(settled, now.total) if now.status not in OVER else settled
                progress.update(
                    task, description=_state(now), completed=settled, total=total, words=_words(now)
                )
                if not screen.err.is_terminal and _state(now) != said:
                    said = _state(now)
                    screen.say(f"{said}: {now.released:,} of {now.total:,} sent again, {_words(now)}")
                if now.status in OVER and not now.in_flight:
                    return answer
    except asyncio.CancelledError:
        screen.say(_come_back(id_))
        raise
    raise AssertionError("a job is looked at until it is over")


def outcome(screen: Screen, ended: ReprocessJob) -> bool:
    """Say how it ended; whether all went well."""
    if ended.status is JobStatus.STOPPED:
        screen.say(f"Once that is mended: carillon failed resume {ended.id}", style="red")
    if ended.failed_again:
        screen.say(f"{ended.failed_again:,} failed again: carillon failed summary", style="red")
    return ended.status is JobStatus.COMPLETED and not ended.failed_again


async def _looks(api: Api, id_: UUID, *, pace: Pace, say: Callable[[str], None]) -> AsyncIterator[Answer]:
    away_since: float | None = None
    pause_s = pace.first_look_s
    while True:
        try:
            answer = await job(api, id_)
        except Refused as refused:
            if refused.status not in _AWAY:
                raise
            if away_since is not None and time.monotonic() - away_since > pace.away_s:
                say(_come_back(id_))
                raise Refused(refused.status or _UNAVAILABLE, str(refused)) from refused
            if away_since is None:
                say("The gateway does not answer; the job is in its database. Waiting.")
            away_since = away_since or time.monotonic()
        else:
            away_since = None
            yield answer
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.3, pace.look_every_s)


def _come_back(id_: UUID) -> str:
    return (
        f"The job goes on. To watch it again: carillon failed jobs {id_} --follow; to end it: carillon "
        f"failed cancel {id_}"
    )


def _state(now: ReprocessJob) -> str:
    if now.status in OVER:
        return now.status.value if not now.in_flight else "waiting"
    return now.status.value if now.status is JobStatus.PAUSED else now.phase.value.replace("_", " ")


def _words(now: ReprocessJob) -> str:
    counts = ((now.sent, "sent"), (now.failed_again, "failed"), (now.other, "other"), (now.skipped, "left"))
    return ", ".join(f"{count:,} {word}" for count, word in counts if count) or "0 sent"


def _progress(screen: Screen) -> Progress:
    return Progress(
        TextColumn("{task.description:<11}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]}", markup=False),
        TimeElapsedColumn(),
        console=screen.err,
        disable=not screen.err.is_terminal,
        expand=True,
    )
