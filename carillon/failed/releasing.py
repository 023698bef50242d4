"""Sending again, by way of the API: one failure, or many as a job that is confirmed and watched."""

from uuid import UUID

from carillon.api import Api
from carillon.api_answers import Answer
from carillon.failed.client import act, as_it_stands, dry_run, formatted, read, read_job, would_send_nothing
from carillon.failed.details import dry_run_lines, show_job
from carillon.failed.following import follow, outcome
from carillon.failed.screen import Screen
from carillon.failed.session import DONE, NOT_DONE
from shared.contracts.http.failures import FailureDetail
from shared.contracts.http.reprocessing import BulkReprocessRequest, DryRun, FailureChanges, ReprocessRequest


async def release_one(
    api: Api, screen: Screen, id_: UUID, *, changes: FailureChanges | None, as_json: bool
) -> int:
    """The exit code. Raises Refused."""
    answer = await act(api, screen, f"/failed/{id_}/reprocess", ReprocessRequest(changes=changes))
    if as_json:
        screen.line(formatted(answer))
    else:
        failure = read(FailureDetail, answer)
        screen.say(f"It is on its way again, as notification {failure.notification_id}.")
    return DONE


async def look_only(api: Api, screen: Screen, request: BulkReprocessRequest, *, as_json: bool) -> int:
    """What would be done; the exit code. Raises Refused."""
    answer = await dry_run(api, request)
    if as_json:
        screen.line(formatted(answer))
    else:
        for line in dry_run_lines(
            read(DryRun, answer), skip_likely_duplicates=request.skip_likely_duplicates
        ):
            screen.line(line)
    return DONE


async def release_many(
    api: Api, screen: Screen, request: BulkReprocessRequest, *, yes: bool, detach: bool, as_json: bool
) -> int:
    """Look, ask, start a job, and watch it unless `detach`; the exit code.

    What fails from now on is left out, so that no more is sent than was looked at. Raises Refused and
    SetupError.
    """
    request = request.model_copy(update={"filter": await as_it_stands(api, request.filter)})
    looked = await dry_run(api, request)
    found = read(DryRun, looked)
    for line in dry_run_lines(found, skip_likely_duplicates=request.skip_likely_duplicates):
        screen.say(line)
    if would_send_nothing(found, request.limit):
        screen.say("There is nothing to send.")
        if as_json:
            screen.line(formatted(looked))
        return DONE
    if not yes and not screen.require_yes(f"Send them again, at most {request.per_second:g} a second?"):
        screen.say("Nothing was sent.")
        return NOT_DONE
    answer = await act(api, screen, "/failed/reprocess", request)
    started = read_job(answer).id
    if not detach:
        return await watch(api, screen, started, as_json=as_json)
    show(screen, answer, as_json=as_json)
    screen.say(f"To watch it: carillon failed jobs {started} --follow")
    return DONE


async def watch(api: Api, screen: Screen, id_: UUID, *, as_json: bool) -> int:
    """Until the job is over; the exit code: 0 where all went well. Raises Refused."""
    answer = await follow(api, id_, screen=screen)
    ended = read_job(answer)
    show(screen, answer, as_json=as_json)
    return DONE if outcome(screen, ended) else NOT_DONE


def show(screen: Screen, answer: Answer, *, as_json: bool) -> None:
    """A job. Raises Refused."""
    if as_json:
        screen.line(formatted(answer))
    else:
        show_job(screen, read_job(answer))
