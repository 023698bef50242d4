"""The commands that mend: reprocess, discard."""

from typing import Annotated
from uuid import UUID

import typer

from carillon.api import Api
from carillon.failed.client import act, as_it_stands, read, summary
from carillon.failed.options import (
    CHANGED,
    Shown,
    Where,
    Which,
    changes,
    checked,
    utc_now,
    wanted,
)
from carillon.failed.registration import register
from carillon.failed.releasing import look_only, release_many, release_one
from carillon.failed.screen import Screen
from carillon.failed.session import DONE, NOT_DONE, run
from carillon.setup_error import SetupError
from shared.contracts.http.failures import FailureDetail
from shared.contracts.http.reprocessing import (
    FASTEST,
    USUAL_PER_SECOND,
    BulkDiscarded,
    BulkDiscardRequest,
    BulkReprocessRequest,
    DiscardRequest,
)

_BOTH = "Name either one failure, or which ones by --cause and so on."
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
One = Annotated[
    UUID | None, typer.Argument(metavar="[ID]", help="One failure; or say which ones by options.")
]


def add_acts(app: typer.Typer) -> None:
    """To the commands of `carillon failed`."""
    register(app, reprocess)
    register(app, discard)


def reprocess(
    *,
    which: Which,
    shown: Shown,
    id: One = None,  # noqa: A002 -- the name that the help gives it
    to: Annotated[
        str | None, typer.Option(metavar="CHANNEL=ADDRESS", help="One: to email=ann@example.com, say.")
    ] = None,
    variables: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE", help="One: with these in place of all it had.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="At most so many, the oldest first.")
    ] = None,
    per_second: Annotated[
        float, typer.Option(min=0.1, max=FASTEST, help="So many in a second.")
    ] = USUAL_PER_SECOND,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    skip_likely_duplicates: Annotated[
        bool, typer.Option("--skip-likely-duplicates", help="Leave what looks like a duplicate.")
    ] = False,
    yes: Yes = False,
    detach: Annotated[bool, typer.Option("--detach", help="Begin, and do not watch.")] = False,
) -> None:
    """Send again: one, or many as a job.

    One is changed if need be (--to, --template, --variables). A job begins with a few, and goes on once they
    are sent. Ends with 1 where something failed again."""
    if id is not None:
        if which.names_others_than("template") or dry_run or detach or limit is not None:
            raise SetupError(_BOTH)
        changed = changes(to=to, template=which.template, variables=variables)

        async def one(api: Api, screen: Screen) -> int:
            return await release_one(api, screen, id, changes=changed, as_json=shown.json)

        run(one, url=shown.url)
        return
    if to is not None or variables is not None:
        raise SetupError(CHANGED)
    request = checked(
        BulkReprocessRequest,
        filter=wanted(which, now=utc_now()),
        limit=limit,
        per_second=per_second,
        skip_likely_duplicates=skip_likely_duplicates,
    )

    async def many(api: Api, screen: Screen) -> int:
        if dry_run:
            return await look_only(api, screen, request, as_json=shown.json)
        return await release_many(api, screen, request, yes=yes, detach=detach, as_json=shown.json)

    run(many, url=shown.url)


def discard(
    *,
    which: Which,
    where: Where,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    id: One = None,  # noqa: A002 -- the name that the help gives it
    yes: Yes = False,
) -> None:
    """Never send them: one, or many. Who did it, when and why is kept."""
    why = checked(DiscardRequest, reason=reason)
    if id is not None and not which.is_empty:
        raise SetupError(_BOTH)
    if id is not None:

        async def one(api: Api, screen: Screen) -> int:
            read(FailureDetail, await act(api, screen, f"/failed/{id}/discard", why))
            screen.say("It is discarded.")
            return DONE

        run(one, url=where.url)
        return
    request = checked(BulkDiscardRequest, filter=wanted(which, now=utc_now()), reason=why.reason)

    async def many(api: Api, screen: Screen) -> int:
        return await _discard_many(api, screen, request, yes=yes)

    run(many, url=where.url)


async def _discard_many(api: Api, screen: Screen, request: BulkDiscardRequest, *, yes: bool) -> int:
    """What fails from now on is left out: nobody has seen it."""
    chosen = await as_it_stands(api, request.filter)
    count = (await summary(api, chosen)).total
    if not count:
        screen.say("No open failure fits.")
        return DONE
    if not yes and not screen.require_yes(f"Discard {count:,}, so that they are never sent?"):
        screen.say("Nothing was discarded.")
        return NOT_DONE
    request = request.model_copy(update={"filter": chosen})
    total = 0
    while True:
        some = read(BulkDiscarded, await act(api, screen, "/failed/discard", request))
        total += some.discarded
        if not (some.discarded and some.remaining):
            break
        screen.say(f"{total:,} of {count:,} are discarded.")
    screen.say(f"{total:,} are discarded.")
    if some.remaining:
        screen.say(f"{some.remaining:,} are left, since another device of theirs is still in work.")
    return DONE if not some.remaining else NOT_DONE
