"""The commands about jobs: jobs, pause, resume, cancel."""

from typing import Annotated, Literal
from uuid import UUID

import typer

from carillon.api import Api
from carillon.failed.client import act, job, json_list, newest, read_item
from carillon.failed.options import Shown, utc_now
from carillon.failed.registration import register
from carillon.failed.releasing import show, watch
from carillon.failed.screen import Screen
from carillon.failed.session import DONE, run
from carillon.failed.tables import show_jobs
from carillon.setup_error import SetupError
from shared.contracts.http.reprocessing import ReprocessJob

Job = Annotated[UUID, typer.Argument(metavar="ID", help="A job, as `jobs` lists it.")]


def add_jobs(app: typer.Typer) -> None:
    """To the commands of `carillon failed`."""
    for command in (jobs, pause, resume, cancel):
        register(app, command)


def jobs(
    shown: Shown,
    id: Annotated[UUID | None, typer.Argument(metavar="[ID]", help="One job.")] = None,  # noqa: A002 -- as above
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Watch it until it ends.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 20,
) -> None:
    """Jobs that send again, newest first, or one of them.

    With --follow it ends with 1 where something failed again, or the job has stopped or was cancelled."""
    if follow and id is None:
        raise SetupError("Name the job that --follow is to watch.")

    async def looking(api: Api, screen: Screen) -> int:
        if id is not None and follow:
            return await watch(api, screen, id, as_json=shown.json)
        if id is not None:
            show(screen, await job(api, id), as_json=shown.json)
            return DONE
        found = await newest(api, "/failed/jobs", {}, most=limit)
        if shown.json:
            screen.line(json_list(found))
        else:
            show_jobs(screen, [read_item(ReprocessJob, item) for item in found], now=utc_now())
            if not found:
                screen.say("There was no job yet.")
        return DONE

    run(looking, url=shown.url)


def pause(id: Job, shown: Shown) -> None:  # noqa: A002 -- as above
    """Hold a job: what it has sent again goes on, and no more follows until `resume`."""
    _tell(id, "pause", shown)


def resume(id: Job, shown: Shown) -> None:  # noqa: A002 -- as above
    """Let a job go on that was paused or has stopped; one that stopped begins with a few anew."""
    _tell(id, "resume", shown)


def cancel(id: Job, shown: Shown) -> None:  # noqa: A002 -- as above
    """End a job: what it has sent again goes on, and the rest stays open."""
    _tell(id, "cancel", shown)


def _tell(id_: UUID, what: Literal["pause", "resume", "cancel"], shown: Shown) -> None:
    async def telling(api: Api, screen: Screen) -> int:
        answer = await act(api, screen, f"/failed/jobs/{id_}/{what}")
        show(screen, answer, as_json=shown.json)
        return DONE

    run(telling, url=shown.url)
