"""The demo's table, and what it says at the end."""

import math
from collections.abc import Callable, Sequence

from rich.table import Table

from carillon.demo.outcome import Figures, Outcome
from carillon.demo.verdict import Fault

TIMES = (
    "Accept: from the request to its 202, at the client.\n"
    "To provider: from `created_at` to the arrival at the mailbox or the push stand-in."
)
MOST_FAULTS_SHOWN = 10
_NOTHING = "-"


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest of `values` that so many percent of them do not exceed; None where there are none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def figures_table(columns: Sequence[Figures]) -> Table:
    """A column for each."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    for column in columns:
        table.add_column(column.name, justify="right")
    for label, cell in _LINES:
        table.add_row(label, *(cell(column) for column in columns))
    return table


def fault_lines(faults: Sequence[Fault]) -> list[str]:
    """The first few, and how many more."""
    lines = [f"{fault.kind}: {fault.detail}" for fault in faults[:MOST_FAULTS_SHOWN]]
    if len(faults) > MOST_FAULTS_SHOWN:
        lines.append(f"… and {len(faults) - MOST_FAULTS_SHOWN:,} more")
    return lines


def conclusion(outcome: Outcome, faults: Sequence[Fault]) -> str:
    """The verdict in a sentence."""
    accepted = len(outcome.posted.accepted)
    if not faults:
        return (
            f"{accepted:,} of {outcome.asked:,}: every message arrived exactly once, at the right person, in "
            "their language, with its own values."
        )
    return f"{len(faults):,} faults in {outcome.asked:,} notifications, of which {accepted:,} were accepted."


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}" if count and seconds > 0 else _NOTHING


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return _NOTHING
    return f"{seconds:,.2f} s" if seconds >= 1 else f"{seconds * 1000:,.0f} ms"


_LINES: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("Accepted", lambda of: f"{of.accepted:,}"),
    ("Sent", lambda of: f"{of.sent:,}"),
    ("Failed", lambda of: f"{of.failed:,}"),
    ("Accepted per second", lambda of: _rate(of.accepted, of.accepting_for)),
    ("Sent per second", lambda of: _rate(len(of.delivering), of.delivering_for)),
    ("Accept, p50", lambda of: _duration(percentile(of.accepting, 50))),
    ("Accept, p99", lambda of: _duration(percentile(of.accepting, 99))),
    ("To provider, p50", lambda of: _duration(percentile(of.delivering, 50))),
    ("To provider, p99", lambda of: _duration(percentile(of.delivering, 99))),
)
