"""Lists: for a terminal of eighty columns, and as lines for a pipe."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from carillon.failed.screen import Screen, age, first_line, visible
from shared.contracts.http.failures import AuditEntry, CauseSummary, FailureItem, FailureSummary
from shared.contracts.http.reprocessing import JobStatus, ReprocessJob

JOB_STYLES = {
    JobStatus.RUNNING: "cyan",
    JobStatus.PAUSED: "yellow",
    JobStatus.STOPPED: "red",
    JobStatus.CANCELLED: "yellow",
    JobStatus.COMPLETED: "green",
}
_ITEM_FIELDS = (
    "id", "created_at", "status", "notification_type", "provider", "error_type", "template_code", "cause",
    "notification_id", "target", "run", "closed_at", "closed_by", "job_id", "error",
)  # fmt: skip
_CAUSE_FIELDS = (
    "count", "cause", "notification_type", "provider", "error_type", "template_code", "first_seen",
    "last_seen", "example_id", "error",
)  # fmt: skip
_JOB_FIELDS = (
    "id", "status", "phase", "total", "released", "skipped", "sent", "failed_again", "other", "in_flight",
    "per_second", "created_at", "created_by", "finished_at", "reason",
)  # fmt: skip
_ACT_FIELDS = ("id", "at", "by", "act", "failure_id", "notification_id", "job_id", "detail")


def show_failures(screen: Screen, items: Sequence[FailureItem], *, now: datetime) -> None:
    """Newest first."""
    if not screen.is_terminal:
        screen.rows(_ITEM_FIELDS, ([getattr(item, name) for name in _ITEM_FIELDS] for item in items))
        return
    table = _table()
    table.add_column("ID", no_wrap=True)
    table.add_column("Age", no_wrap=True, justify="right")
    table.add_column("What and why", overflow="ellipsis")
    for item in items:
        table.add_row(str(item.id), age(item.created_at, now=now), _what_and_why(item))
    screen.show(table)


def show_summary(screen: Screen, summary: FailureSummary, *, now: datetime) -> None:
    """The most frequent first."""
    if not screen.is_terminal:
        rows = ([getattr(cause, name) for name in _CAUSE_FIELDS] for cause in summary.causes)
        screen.rows(_CAUSE_FIELDS, rows)
        return
    table = _table()
    table.add_column("Count", no_wrap=True, justify="right")
    table.add_column("What, why, and the cause's name", overflow="ellipsis")
    table.add_column("First", no_wrap=True, justify="right")
    table.add_column("Last", no_wrap=True, justify="right")
    for cause in summary.causes:
        why = _what_and_why(cause)
        why.append(f"\n--cause {visible(cause.cause)}")
        first, last = age(cause.first_seen, now=now), age(cause.last_seen, now=now)
        table.add_row(f"{cause.count:,}", why, first, last)
    screen.show(table)
    counted = sum(cause.count for cause in summary.causes)
    rest = f" {summary.total - counted:,} of them have rarer causes." if summary.total > counted else ""
    screen.show(Text(f"{summary.total:,} are open.{rest}", style="bold"))


def show_jobs(screen: Screen, jobs: Sequence[ReprocessJob], *, now: datetime) -> None:
    """Newest first."""
    if not screen.is_terminal:
        screen.rows(_JOB_FIELDS, ([getattr(job, name) for name in _JOB_FIELDS] for job in jobs))
        return
    table = _table()
    for title in ("ID", "Age", "Status", "Sent again", "Failed"):
        right = title in ("Age", "Sent again", "Failed")
        table.add_column(title, no_wrap=True, justify="right" if right else "left")
    for job in jobs:
        table.add_row(
            str(job.id),
            age(job.created_at, now=now),
            Text(job.status.value, style=JOB_STYLES[job.status]),
            f"{job.released:,}/{job.total:,}",
            f"{job.failed_again:,}",
        )
    screen.show(table)


def show_acts(screen: Screen, acts: Sequence[AuditEntry], *, now: datetime) -> None:
    """Newest first."""
    if not screen.is_terminal:
        screen.rows(_ACT_FIELDS, ([getattr(act, name) for name in _ACT_FIELDS] for act in acts))
        return
    table = _table()
    table.add_column("Age", no_wrap=True, justify="right")
    table.add_column("Act", no_wrap=True)
    table.add_column("Of what, by whom, how", overflow="fold")
    for act in acts:
        table.add_row(age(act.at, now=now), act.act.value, _of_act(act))
    screen.show(table)


def _of_act(act: AuditEntry) -> Text:
    of = [f"failure {act.failure_id}"] if act.failure_id else []
    of += [f"job {act.job_id}"] if act.job_id else []
    lines = Text("\n".join([*of, visible(act.by)]))
    if act.detail:
        lines.append(f"\n{visible(act.detail)}", style="dim")
    return lines


def _what_and_why(of: FailureItem | CauseSummary) -> Text:
    channel = of.notification_type.value if of.notification_type else "unreadable"
    provider = f" by {of.provider}" if of.provider else ""
    template = f", {of.template_code}" if of.template_code else ""
    text = Text(visible(f"{channel}{provider}{template}"), no_wrap=True, overflow="ellipsis")
    text.append(f"\n{visible(of.error_type)}", style="red")
    text.append(f"\n{first_line(of.error)}", style="dim")
    return text


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
