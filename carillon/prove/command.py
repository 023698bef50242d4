"""`carillon prove`: the options, and what is done with the report."""

import random
import shutil
import signal
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from carillon.embedded.rabbitmq import find_rabbitmq
from carillon.prove.programme import Programme, Proof
from carillon.prove.report import ProofReport, ScenarioReport
from carillon.prove.scenario import Size
from carillon.prove.scenarios.all import SCENARIOS
from carillon.prove.tables import markdown, print_table
from carillon.setup_error import SetupError

_RED, _SETUP_ERROR_CODE, _INTERRUPTED, _TERMINATED = 1, 2, 130, 143
_SEEDS = 1_000_000
_WIDE = 150


class Broker(StrEnum):
    """What carries the messages."""

    RABBITMQ = "rabbitmq"
    EMBEDDED = "embedded"


def prove(
    *,
    broker: Annotated[
        Broker, typer.Option(help="A RabbitMQ node of the experiment's own, or PostgreSQL.")
    ] = Broker.RABBITMQ,
    seed: Annotated[int | None, typer.Option(help="The same faults again. Default: a new one.")] = None,
    only: Annotated[
        list[int] | None, typer.Option(help="The scenario of this number; may be given several times.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="More of everything, and a random mix: hours.")
    ] = False,
    small: Annotated[bool, typer.Option("--small", help="Less of everything.")] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report here, too.")] = None,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="And the table, as Markdown.")] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave logs and journals, also where all is green.")
    ] = False,
) -> None:
    """Kill, freeze, wipe, cut off and overload a whole installation of its own, and see whether anything that
    was accepted is lost, or sent twice in silence. Ends with 1 where it is."""
    unknown = set(only or ()) - {scenario.number for scenario in SCENARIOS}
    if unknown:
        raise typer.BadParameter(f"There is no scenario {min(unknown)}.")
    if full and small:
        raise typer.BadParameter("--full or --small.")
    for file in (json, page):
        if file is not None:
            file.touch()  # what cannot be written is better known before the hours than after
    chosen = random.randrange(_SEEDS) if seed is None else seed
    size = Size.FULL if full else Size.SMALL if small else Size.USUAL
    programme = Programme(
        size=size,
        seed=chosen,
        rabbitmq=broker is Broker.RABBITMQ,
        only=frozenset(only or ()),
        command=_command(broker, size=size, seed=chosen, only=only or []),
    )
    signal.signal(signal.SIGTERM, _end)
    report = _proved(programme, keep=keep)
    out = Console()
    # Where no terminal says how wide it is, a table of so many columns would be cut to ribbons.
    print_table(report, out if out.is_terminal else Console(width=_WIDE))
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if page is not None:
        page.write_text(markdown(report))
    if all(each.skipped for each in report.scenarios):
        raise typer.Exit(_SETUP_ERROR_CODE)
    if not report.is_green:
        raise typer.Exit(_RED)


def _command(broker: Broker, *, size: Size, seed: int, only: list[int]) -> str:
    parts = ["carillon prove", f"--broker {broker}", f"--seed {seed}"]
    parts += [] if size is Size.USUAL else [f"--{size}"]
    return " ".join(parts + [f"--only {number}" for number in only])


def _proved(programme: Programme, *, keep: bool) -> ProofReport:
    """Removes its folder, except where something is red: then what is in it tells why. Ends the command where
    there is no report."""
    say = Console(stderr=True, highlight=False)
    if programme.rabbitmq and find_rabbitmq() is None:
        say.print("RabbitMQ is not installed: install it, or take --broker embedded.", style="red")
        raise typer.Exit(_SETUP_ERROR_CODE)
    folder = Path(tempfile.mkdtemp(prefix="carillon-prove-"))
    folder.chmod(0o755)
    say.print(f"Again with: {programme.command}", style="dim")

    def show(report: ScenarioReport) -> None:
        colour = "green" if report.is_green else "yellow" if report.skipped else "bold red"
        text = report.skipped or "; ".join(report.complaints) or "green"
        say.print(f"   {text} ({report.seconds:.0f} s)", style=colour, markup=False)

    kept = True
    try:
        report = Proof(
            programme, folder=folder, say=lambda text: say.print(text, style="dim", markup=False), show=show
        ).run()
        kept = keep or not report.is_green
    except SetupError as error:
        print(f"{error} What there is lies in {folder}.", file=sys.stderr)
        raise typer.Exit(_SETUP_ERROR_CODE) from error
    except (KeyboardInterrupt, SystemExit) as error:
        kept = keep
        raise typer.Exit(_TERMINATED if isinstance(error, SystemExit) else _INTERRUPTED) from error
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
    if kept:
        say.print(f"Logs, journals and verdicts are in {folder}.", style="dim")
    return report


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(_TERMINATED)
