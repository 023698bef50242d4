"""The report as a table, in a terminal and for docs/proof.md."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from carillon.prove.report import ProofReport, ScenarioReport
from carillon.prove.witness.verdict import Verdict

_COLUMNS: Sequence[tuple[str, Callable[[Verdict], object]]] = (
    ("accepted", lambda verdict: verdict.accepted),
    ("sent", lambda verdict: verdict.sent),
    ("lost", lambda verdict: verdict.lost),
    ("silent dup.", lambda verdict: verdict.silent_duplicates),
    ("stuck", lambda verdict: verdict.stuck),
    ("unaccepted", lambda verdict: verdict.unaccepted),
    ("flagged dup.", lambda verdict: verdict.possible_duplicates),
    ("failed", lambda verdict: verdict.parked),
)


def print_table(report: ProofReport, console: Console) -> None:
    """All scenarios, and what is wrong with those that are red."""
    table = Table(
        title=f"carillon prove, broker {report.broker}, seed {report.seed}, {report.seconds / 60:.1f} min",
        title_justify="left",
    )
    for heading in _headings():
        table.add_column(heading, justify="left" if heading in ("scenario", "") else "right")
    for each in report.scenarios:
        table.add_row(*_row(each), style="" if each.is_green else "dim" if each.skipped else "bold red")
    console.print(table)
    for line in _figures(report):
        console.print(line, style="dim", markup=False, highlight=False)
    for line in _remarks(report):
        console.print(line, style="red", markup=False, highlight=False)


def markdown(report: ProofReport) -> str:
    """The same as a page's section."""
    headings = _headings()
    lines = [
        f"`{report.command}`, {report.started_at[:10]}, {report.seconds / 60:.1f} minutes, "
        f"{report.machine.cores} cores ({report.machine.processor}), "
        + ", ".join(
            f"{name} {version}" for name, version in report.machine.versions.items() if name != "carillon"
        )
        + ":",
        "",
        f"| {' | '.join(headings)} |",
        f"|{'|'.join('---' if heading in ('scenario', '') else '---:' for heading in headings)}|",
        *(f"| {' | '.join(_row(each))} |" for each in report.scenarios),
    ]
    remarks = [*_figures(report), *_remarks(report)]
    return "\n".join([*lines, *(["", *(f"- {remark}" for remark in remarks)] if remarks else [])]) + "\n"


def _headings() -> list[str]:
    return [
        "",
        "scenario",
        *(name for name, _ in _COLUMNS),
        "unknown (at most)",
        "p99 ms",
        "recovery s",
        "s",
        "",
    ]


def _row(report: ScenarioReport) -> list[str]:
    verdict = report.verdict
    start = [str(report.number), report.name]
    if verdict is None:
        return [
            *start,
            *("" for _ in _COLUMNS),
            "",
            "",
            "",
            f"{report.seconds:.0f}",
            "not played" if report.skipped else "RED",
        ]
    return [
        *start,
        *(str(read(verdict)) for _, read in _COLUMNS),
        f"{verdict.unknown} ({report.doubts_ceiling})",
        _told(verdict.p99_ms, ".0f"),
        _told(verdict.recovery_s, ".1f"),
        f"{report.seconds:.0f}",
        "green" if report.is_green else "RED",
    ]


def _figures(report: ProofReport) -> list[str]:
    return [
        f"{each.number} {each.name}: "
        + ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in each.figures.items())
        for each in report.scenarios
        if each.figures
    ]


def _remarks(report: ProofReport) -> list[str]:
    found = [
        f"{each.number} {each.name}: {complaint}"
        for each in report.scenarios
        for complaint in each.complaints
    ]
    found += [
        f"{each.number} {each.name}: not played. {each.skipped}" for each in report.scenarios if each.skipped
    ]
    return found + report.complaints


def _told(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
