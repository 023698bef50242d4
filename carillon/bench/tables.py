"""The report for a terminal."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from carillon.bench.accept import Accepting
from carillon.bench.accounting import Account
from carillon.bench.backlog import Backlog
from carillon.bench.end_to_end import EndToEnd
from carillon.bench.figures import Latency
from carillon.bench.guarantee_tables import guarantee_tables
from carillon.bench.idle import Idle
from carillon.bench.layout import table as make_table
from carillon.bench.profiler import Profile
from carillon.bench.report import Report
from carillon.bench.targets import Target
from carillon.machine import Machine


def print_report(report: Report, console: Console) -> None:
    """Everything that is in it."""
    console.print(_machine(report.machine), highlight=False)
    runs = [*report.end_to_end, *report.paced]
    tables: list[Table | str | None] = [
        _runs(runs, title="End to end") if runs else None,
        *(_cost(run) for run in runs),
        *guarantee_tables(report.end_to_end, report.ladder, report.guarantees),
        _accepting(report.accept) if report.accept else None,
        *(_backlog(run) for run in report.backlog),
        *(_idle(run) for run in report.idle),
        _runs(report.profiled, title="While py-spy watched") if report.profiled else None,
        *(_profile(profile) for profile in report.profiles),
        _targets(report.targets),
    ]
    for table in tables:
        if table is not None:
            console.print()
            console.print(table)
    if report.comparison is not None:
        console.print(
            f"\nAgainst the pipeline: {report.comparison.rate:.1f} times as many mails a second; "
            f"the pipeline uses {report.comparison.cpu:.1f} times as much processor time for each.",
            highlight=False,
        )
    if report.is_disturbed:
        console.print(
            "\nThe machine did other work meanwhile (busy elsewhere): rates and ratio say little.",
            style="yellow",
        )
    if not report.is_whole:
        console.print("\n[red]Not everything that was accepted arrived exactly once: see above.[/red]")


def _machine(machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return (
        f"{machine.cores} cores ({machine.processor}), {machine.memory_gb:.0f} GB, {machine.system}, Python "
        f"{machine.python}; {versions}; load average before: {machine.busy}"
    )


def _runs(runs: Sequence[EndToEnd], *, title: str) -> Table:
    """A column for each, so that it fits into a terminal of the usual width."""
    titles = [f"{run.system}\non {run.broker}\n{_load(run)}" for run in runs]
    table = make_table(f"{title} ({runs[0].sink} sink)", "", *titles)
    lines: list[tuple[str, Callable[[EndToEnd], str]]] = [
        ("notifications", lambda run: str(run.count)),
        ("accepted/s", lambda run: f"{run.accepted_per_s:.0f}"),
        ("sent/s", lambda run: f"{run.sent_per_s:.0f}"),
        ("accept, p50/p99 ms", lambda run: _latency(run.accept)),
        ("to the sink, p50/p99 ms", lambda run: _latency(run.to_sink)),
        ("CPU ms each", lambda run: f"{run.own_cpu_ms:.2f}"),
        ("memory, PSS MB", lambda run: f"{run.own_memory_mb:.0f}"),
        ("busy elsewhere, cores", lambda run: f"{run.elsewhere:.1f}"),
        ("lost/twice/other", lambda run: _account(run.account)),
    ]
    for name, told in lines:
        table.add_row(name, *(told(run) for run in runs))
    return table


def _load(run: EndToEnd) -> str:
    return "at full speed" if run.rate is None else f"at {run.rate:.0f}/s"


def _cost(run: EndToEnd) -> Table:
    title = f"{run.system} on {run.broker}, {_load(run)}: what {run.count} cost"
    table = make_table(title, "process", "CPU s", "CPU ms each", "PSS MB")
    each = 1000 / max(1, run.account.arrived)
    for name, cost in run.cost.items():
        mark = "" if name in run.own else " (not ours)"
        table.add_row(name + mark, f"{cost.cpu_s:.2f}", f"{each * cost.cpu_s:.3f}", f"{cost.memory_mb:.0f}")
    table.add_row("load generator (not ours)", f"{run.load_cpu_s:.2f}", f"{each * run.load_cpu_s:.3f}", "")
    own_s = sum(run.cost[name].cpu_s for name in run.own)
    table.add_row("[bold]ours together", f"{own_s:.2f}", f"{run.own_cpu_ms:.3f}", f"{run.own_memory_mb:.0f}")
    return table


def _accepting(cells: Sequence[Accepting]) -> Table:
    table = make_table(
        "Accepting alone", "connections", "requests", "in each", "accepted\n/s", "request,\np50/p99 ms",
        "CPU ms\neach", "accepted", "stored",
    )  # fmt: skip
    for cell in cells:
        table.add_row(
            str(cell.connections),
            str(cell.requests),
            str(cell.batch),
            f"{cell.per_s:.0f}",
            _latency(cell.latency),
            f"{cell.own_cpu_ms:.3f}",
            str(cell.accepted),
            str(cell.stored),
        )
    return table


def _backlog(run: Backlog) -> Table:
    table = make_table(f"A backlog of {run.count} on {run.broker}", "", "")
    table.add_row("accepted/s", f"{run.accepted_per_s:.0f}")
    table.add_row("waiting when the broker had all", str(run.waiting))
    table.add_row("drained/s", f"{run.drain_per_s:.0f}")
    table.add_row("drained/s, first and last tenth", f"{run.first_per_s:.0f}, {run.last_per_s:.0f}")
    table.add_row("urgent to the sink, p50/p99 ms, while it is", "")
    table.add_row("  accepted and published", _counted(run.urgent.filling))
    table.add_row("  drained", _counted(run.urgent.draining))
    memory = run.memory
    table.add_row(
        "PSS MB, first and last tenth, most",
        f"{memory.first_mb:.0f}, {memory.last_mb:.0f}, {memory.most_mb:.0f}",
    )
    table.add_row("busy elsewhere, cores", f"{run.elsewhere:.1f}")
    table.add_row("lost/twice/other", _account(run.account))
    return table


def _idle(run: Idle) -> Table:
    table = make_table(f"Idle on {run.broker}, {run.seconds:.0f} s", "process", "% of one core")
    for name, share in run.share.items():
        table.add_row(name, f"{share:.2f}")
    table.add_row("[bold]together, without the sink", f"{run.together:.2f}")
    return table


def _profile(profile: Profile) -> Table | str:
    if profile.failure:
        return f"[red]py-spy has seen nothing of {profile.process}:[/red] {escape(profile.failure)}"
    table = make_table(
        f"Where {profile.process} spends its time ({profile.samples} samples)", "in itself", "%"
    )
    for line in profile.in_itself:
        table.add_row(line.name, f"{100 * line.share:.1f}")
    table.add_row("[bold]with what it calls[/bold]")
    for line in profile.with_below:
        table.add_row(line.name, f"{100 * line.share:.1f}")
    return table


def _targets(targets: Sequence[Target]) -> Table | None:
    """Those that were measured."""
    table = make_table("Required", "", "required", "goal", "measured", "")
    for target in targets:
        if target.met is not None:
            mark = "[green]met[/green]" if target.met else "[red]not met[/red]"
            table.add_row(target.what, target.required, target.goal, target.measured, mark)
    return table if table.row_count else None


def _account(account: Account) -> str:
    other = account.refused + account.unanswered + account.unexpected
    numbers = (account.lost, account.duplicates, other)
    return " / ".join(f"[red]{number}[/red]" if number else "0" for number in numbers)


def _counted(found: Latency | None) -> str:
    return "-" if found is None else f"{_latency(found)} (of {found.count})"


def _latency(found: Latency | None) -> str:
    return "-" if found is None else f"{found.p50_ms:.1f} / {found.p99_ms:.1f}"
