"""`carillon demo`, from the templates to the verdict."""

import asyncio
import random
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from carillon.api import Api
from carillon.api_answers import Refused
from carillon.demo.arrivals import Arrivals
from carillon.demo.catalogue import LANGUAGES, read_templates
from carillon.demo.letters import write_letters
from carillon.demo.outcome import Outcome
from carillon.demo.people import make_people, people_for
from carillon.demo.population import create_recipients
from carillon.demo.publishing import publish_templates
from carillon.demo.report import TIMES, conclusion, fault_lines, figures_table
from carillon.demo.sending import post_letters, wait_until_ended
from carillon.demo.venue import Venue, venue
from carillon.home import Home
from carillon.settings import UpSettings
from carillon.setup_error import SetupError
from carillon.up import stopped_by_signals

GOOD, BAD, STOPPED = 0, 1, 130
_CLOCKS_APART = timedelta(seconds=2)


async def demonstrate(*, count: int, broker: str | None, settings: UpSettings, home: Home) -> int:
    """Print everything; the exit code: 0 only where every message arrived once and as it should, 130 where
    somebody has stopped it. Raises SetupError."""
    console = Console(soft_wrap=True, highlight=False)
    hurry = asyncio.Event()
    async with (
        stopped_by_signals(hurry),
        venue(settings=settings, home=home, broker=broker, hurry=hurry, say=console.print) as place,
    ):
        return await _demonstrate_at(place, count=count, console=console)
    return STOPPED


async def _demonstrate_at(place: Venue, *, count: int, console: Console) -> int:
    try:
        async with AsyncExitStack() as stack:
            api = Api(place.gateway, place.api_key)
            stack.push_async_callback(api.close)
            arrivals = Arrivals(mailbox=place.mailbox, push_standin=place.push_standin)
            stack.push_async_callback(arrivals.close)
            progress = stack.enter_context(_progress(console))
            outcome = await _send(api, arrivals, count=count, progress=progress)
    except Refused as refused:
        raise SetupError(f"The API has refused what the demo needs: {refused}.") from refused
    return _report(outcome, place, console)


async def _send(api: Api, arrivals: Arrivals, *, count: int, progress: Progress) -> Outcome:
    since = datetime.now(UTC) - _CLOCKS_APART
    run = secrets.token_hex(4)
    chance = random.Random(run)
    templates = read_templates()
    people = make_people(people_for(count), run=run, chance=chance)
    letters = write_letters(
        count, templates=templates, people=people, run=run, chance=chance, now=datetime.now(UTC)
    )
    changed = await publish_templates(api, templates)
    progress.console.print(
        f"{len(templates)} templates in {len(LANGUAGES)} languages: "
        f"{f'{changed} new versions published' if changed else 'all published already'}."
    )
    user_ids = await create_recipients(api, people, advance=_bar(progress, "Recipients", len(people)))
    await arrivals.begin()
    posted = await post_letters(
        api, letters, user_ids=user_ids, advance=_bar(progress, "Accepted", len(letters))
    )
    ids = {each.id for each in posted.accepted}
    delivering = progress.add_task("Delivered", total=len(ids))
    statuses = await wait_until_ended(
        api,
        ids,
        since=since,
        arrivals=arrivals,
        show=lambda done: progress.update(delivering, completed=done),
    )
    addresses = {person.email for person in people} | {person.token for person in people}
    arrived = await arrivals.collect(
        since=since,
        notification_ids=ids,
        addresses=addresses,
        advance=_bar(progress, "Checked", len(ids)),
    )
    return Outcome(posted=posted, statuses=statuses, arrived=arrived)


def _report(outcome: Outcome, place: Venue, console: Console) -> int:
    console.print()
    console.print(figures_table(outcome.figures()))
    console.print(TIMES, style="dim")
    if place.stays:
        console.print(
            f"To be read in the mailbox {place.mailbox} and at the push stand-in {place.push_standin}."
        )
    console.print()
    faults = outcome.faults()
    for line in fault_lines(faults):
        console.print(line, style="red", markup=False)
    console.print(conclusion(outcome, faults), style="bold red" if faults else "bold green", markup=False)
    return BAD if faults else GOOD


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<11}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _bar(progress: Progress, name: str, total: int) -> Callable[[], None]:
    """Adds a bar; each call of what is returned moves it on by one."""
    task = progress.add_task(name, total=total)
    return lambda: progress.advance(task)
