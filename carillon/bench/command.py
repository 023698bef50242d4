"""`carillon bench`: the options, and what is done with the report."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from carillon.bench.programme import Part, Programme, Transport, run_programme
from carillon.bench.report import Report
from carillon.bench.sinks import SinkKind
from carillon.bench.tables import print_report
from carillon.setup_error import SetupError

_NOT_WHOLE, _SETUP_ERROR_CODE, _INTERRUPTED, _TERMINATED = 1, 2, 130, 143
_USUAL = frozenset({Part.ACCEPT, Part.END_TO_END, Part.PACED})
_BACKLOG = 100_000


def bench(
    *,
    only: Annotated[
        list[Part] | None, typer.Option(help="This part, and no pipeline; may be given several times.")
    ] = None,
    broker: Annotated[Transport | None, typer.Option(help="On this transport; default: both.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Notifications in each run.")] = 10_000,
    repeat: Annotated[int, typer.Option(min=1, help="How often to measure end to end.")] = 1,
    backlog: Annotated[
        int | None, typer.Option(min=1000, help="Let so many pile up, and watch them go; only this part.")
    ] = None,
    idle: Annotated[bool, typer.Option("--idle", help="What it uses at rest; only this part.")] = False,
    pipeline: Annotated[
        bool | None, typer.Option("--pipeline/--no-pipeline", help="The pipeline of bench/, for comparison.")
    ] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Show where the time goes (py-spy).")] = False,
    sink: Annotated[
        SinkKind | None, typer.Option(help="Where mail goes; default: smtp-sink where it is installed.")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report here, too.")] = None,
) -> None:
    """Measure how fast it is on this machine, beside a pipeline of the usual kind. Ends with 1 where
    something that was accepted did not arrive exactly once."""
    programme = Programme(
        parts=chosen_parts(only or [], backlog=backlog is not None, idle=idle),
        transports=tuple(Transport) if broker is None else (broker,),
        count=count,
        repeat=repeat,
        backlog=backlog or _BACKLOG,
        pipeline=(not only and backlog is None and not idle) if pipeline is None else pipeline,
        profile=profile,
        sink=sink,
    )
    signal.signal(signal.SIGTERM, _end)
    folder = Path(tempfile.mkdtemp(prefix="carillon-bench-"))
    folder.chmod(0o755)
    say = Console(stderr=True, highlight=False)
    report = measured(
        lambda: run_programme(programme, folder=folder, say=lambda text: say.print(text, style="dim")),
        folder=folder,
    )
    print_report(report, Console())
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if not report.is_whole:
        print(f"The logs, the databases and what the sink has taken are in {folder}.", file=sys.stderr)
        raise typer.Exit(_NOT_WHOLE)


def chosen_parts(only: list[Part], *, backlog: bool, idle: bool) -> frozenset[Part]:
    """What the options name, or what is usual where they name nothing."""
    named = {*only, *({Part.BACKLOG} if backlog else ()), *({Part.IDLE} if idle else ())}
    return frozenset(named) or _USUAL


def measured(measure: Callable[[], Report], *, folder: Path) -> Report:
    """Removes `folder`, except where something could not be measured, or did not arrive exactly once: then
    what is in it tells why. Ends the command where there is no report."""
    keep = False
    try:
        report = measure()
        keep = not report.is_whole
    except SetupError as error:
        keep = True
        print(f"{error} The logs are in {folder}.", file=sys.stderr)
        raise typer.Exit(_SETUP_ERROR_CODE) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(_INTERRUPTED) from error
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    return report


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(_TERMINATED)
