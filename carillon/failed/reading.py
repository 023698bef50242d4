"""The commands that look: list, show, summary, audit, export."""

from typing import Annotated
from uuid import UUID

import typer

from carillon.api import Api
from carillon.failed.client import formatted, json_list, newest, read, read_item, summary
from carillon.failed.details import show_failure
from carillon.failed.exporting import STDOUT, export, export_bar, private_file
from carillon.failed.options import Listed, Shown, Where, Which, as_query, utc_now
from carillon.failed.registration import register
from carillon.failed.screen import Screen
from carillon.failed.session import DONE, run
from carillon.failed.tables import show_acts, show_failures, show_summary
from shared.contracts.http.failures import (
    AuditEntry,
    FailureDetail,
    FailureItem,
    FailureStatus,
    FailureSummary,
)

_USUAL_LIMIT = 50
_MOST_LISTED = 10_000
Limit = Annotated[
    int, typer.Option(min=1, max=_MOST_LISTED, help="At most so many, the newest; `export` writes all.")
]


def add_reading(app: typer.Typer) -> None:
    """To the commands of `carillon failed`."""
    register(app, list_, name="list")
    register(app, show)
    register(app, summarise, name="summary")
    register(app, export_, name="export")
    register(app, audit)


def list_(which: Listed, shown: Shown, limit: Limit = _USUAL_LIMIT) -> None:
    """What failed, newest first."""
    query = which.query(utc_now())

    async def listing(api: Api, screen: Screen) -> int:
        items = await newest(api, "/failed", query, most=limit)
        if shown.json:
            screen.line(json_list(items))
        else:
            show_failures(screen, [read_item(FailureItem, item) for item in items], now=utc_now())
            if not items:
                screen.say("Nothing here fits.")
            elif len(items) == limit:
                screen.say(f"These are the newest {limit:,}; `carillon failed summary` counts all.")
        return DONE

    run(listing, url=shown.url)


def show(id: UUID, shown: Shown) -> None:  # noqa: A002 -- the name that the help gives it
    """One failure in full: its message, every attempt, the error, and what was done about it."""

    async def showing(api: Api, screen: Screen) -> int:
        answer = await api.get(f"/failed/{id}")
        if shown.json:
            screen.line(formatted(answer))
        else:
            show_failure(screen, read(FailureDetail, answer))
        return DONE

    run(showing, url=shown.url)


def summarise(which: Which, shown: Shown) -> None:
    """What is open, counted by cause, the most frequent first."""
    chosen = which.filter(utc_now())

    async def summarising(api: Api, screen: Screen) -> int:
        answer = await api.get("/failed/summary", as_query(chosen))
        if shown.json:
            screen.line(formatted(answer))
            return DONE
        found = read(FailureSummary, answer)
        show_summary(screen, found, now=utc_now())
        if found.causes and screen.is_terminal:
            screen.say("Once a cause is mended: carillon failed reprocess --cause CAUSE")
        return DONE

    run(summarising, url=shown.url)


def audit(
    shown: Shown,
    failure: Annotated[UUID | None, typer.Option(metavar="ID", help="About this failure.")] = None,
    job: Annotated[UUID | None, typer.Option(metavar="ID", help="About this job.")] = None,
    limit: Limit = _USUAL_LIMIT,
) -> None:
    """Who did what about failures, newest first."""
    given = {"failure_id": failure, "job_id": job}
    query = {name: str(value) for name, value in given.items() if value is not None}

    async def auditing(api: Api, screen: Screen) -> int:
        acts = await newest(api, "/failed/audit", query, most=limit)
        if shown.json:
            screen.line(json_list(acts))
        else:
            show_acts(screen, [read_item(AuditEntry, act) for act in acts], now=utc_now())
        return DONE

    run(auditing, url=shown.url)


def export_(
    which: Listed,
    where: Where,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="Where to; - for stdout. Readable by you alone."),
    ],
) -> None:
    """Write failures to a file in full, one JSON object on each line, newest first."""
    query = which.query(utc_now())
    chosen = which.filter(utc_now())

    async def exporting(api: Api, screen: Screen) -> int:
        countable = which.status is FailureStatus.OPEN and which.job is None
        total = (await summary(api, chosen)).total if countable else None
        with private_file(output) as sink, export_bar(screen, total) as advance:
            written, gone = await export(api, query, sink, advance=advance)
        where_to = "stdout" if output == STDOUT else output
        screen.say(f"{written:,} written to {where_to}." + (f" {gone:,} were gone." if gone else ""))
        return DONE

    run(exporting, url=where.url)
