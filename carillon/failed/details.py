"""One failure, one job, one dry run: in full, line by line."""

from collections.abc import Iterator

import msgspec
from rich.text import Text

from carillon.failed.screen import Screen, timestamp, visible
from carillon.failed.tables import JOB_STYLES
from shared.contracts.http.failures import FailedMessage, FailureDetail, FailureFilter, RawMessage
from shared.contracts.http.notification_answers import AttemptItem
from shared.contracts.http.reprocessing import DryRun, ReprocessJob

_LABEL_WIDTH = 14
_MASKED = "masked: it takes the scope users:read"


def show_failure(screen: Screen, failure: FailureDetail) -> None:
    """With its message, every attempt, the error and what was done about it."""
    status = failure.status.value + (f", {failure.closed_by}" if failure.closed_by else "")
    fields: dict[str, object] = {
        "Failure": failure.id,
        "Status": status,
        "Failed at": timestamp(failure.created_at),
        "Closed at": failure.closed_at and timestamp(failure.closed_at),
        "Job": failure.job_id,
        "Notification": failure.notification_id,
        "which is now": failure.notification_status and failure.notification_status.value,
        "Target": failure.target,
        "Run": failure.run,
        "Channel": failure.notification_type and failure.notification_type.value,
        "Provider": failure.provider,
        "Kind of error": failure.error_type,
        "Error": failure.error,
        "Cause": failure.cause,
    }
    _show_fields(screen, fields)
    if failure.message is not None:
        _heading(screen, "Message")
        _show_fields(screen, _message_fields(failure.message))
    if failure.raw is not None:
        _heading(screen, "What could not be read")
        _show_fields(screen, _raw_fields(failure.raw))
    _heading(screen, "Attempts")
    for attempt in failure.attempts:
        screen.show(_attempt(attempt), soft_wrap=True)
    if not failure.attempts:
        screen.show(Text("None: no provider was called."))
    if failure.stack:
        _heading(screen, "Where our code failed")
        screen.show(Text(visible(failure.stack.rstrip())), soft_wrap=True)
    if failure.audit:
        _heading(screen, "What was done")
    for act in failure.audit:
        detail = f": {act.detail}" if act.detail else ""
        screen.show(Text(visible(f"{timestamp(act.at)}  {act.act.value}, {act.by}{detail}")), soft_wrap=True)


def show_job(screen: Screen, job: ReprocessJob) -> None:
    """How far it is."""
    status = Text(job.status.value, style=JOB_STYLES[job.status])
    fields: dict[str, object] = {
        "Job": job.id,
        "Status": status,
        "Phase": job.phase.value.replace("_", " "),
        "Reason": job.reason,
        "Sent again": f"{job.released:,} of {job.total:,}, at most {job.per_second:g} a second",
        "of these": f"{job.sent:,} arrived, {job.failed_again:,} failed again, {job.other:,} ended "
        f"otherwise, {job.in_flight:,} are on their way",
        "Left alone": f"{job.skipped:,}",
        "Which": filter_words(job.filter),
        "Begun": f"{timestamp(job.created_at)} by {job.created_by}",
        "Finished": job.finished_at and timestamp(job.finished_at),
    }
    _show_fields(screen, fields)


def dry_run_lines(found: DryRun, *, skip_likely_duplicates: bool) -> Iterator[str]:
    """What a job would do, in words."""
    yield f"{found.matching:,} open failures fit."
    if found.examined < found.matching:
        yield f"Looked at: the oldest {found.examined:,}, of which"
    yield f"  {found.would_send:>9,}  would be sent again"
    if found.likely_duplicates:
        fate = "which stay as they are" if skip_likely_duplicates else "--skip-likely-duplicates leaves them"
        yield f"  {found.likely_duplicates:>9,}  of these look like duplicates: {fate}"
    left = (
        (found.expired, "have expired"),
        (found.opted_out, "were opted out of since"),
        (found.busy, "have another device in work or in doubt"),
        (found.unreadable, "cannot be sent: unreadable, or their notification is gone"),
    )
    yield from (f"  {count:>9,}  {words}" for count, words in left if count)
    if found.opted_out is None:
        yield "Who has opted out since is not known just now; it is looked up at the sending in any case."


def filter_words(chosen: FailureFilter) -> str:
    """Which are meant, as options would say it."""
    given = chosen.model_dump(mode="json", exclude_none=True)
    return ", ".join(f"{name}={value}" for name, value in given.items()) or "all"


def _message_fields(message: FailedMessage) -> dict[str, object]:
    template = message.template_code
    if template is not None and message.template_version is not None:
        template += f", version {message.template_version}"
    variables = None if message.variables is None else msgspec.json.encode(message.variables).decode()
    return {
        "Personal data": _MASKED if message.masked else None,
        "User": message.user_id,
        "Address": message.address,
        "Template": template,
        "Language": message.language,
        "Variables": variables,
        "Subject": message.subject,
        "Body": message.body,
        "Category": f"{message.category}, priority {message.priority}, lane {message.lane}",
        "Test": "yes: it stops short of the provider" if message.test else None,
        "Correlation id": message.correlation_id,
        "Accepted at": timestamp(message.accepted_at),
        "Expires at": message.expires_at and timestamp(message.expires_at),
    }


def _raw_fields(raw: RawMessage) -> dict[str, object]:
    held = "`carillon failed export` writes them" if raw.base64 is not None else _MASKED
    return {"Size": f"{raw.size:,} bytes", "SHA-256": raw.sha256, "Bytes": held}


def _attempt(attempt: AttemptItem) -> Text:
    line = Text(
        visible(
            f"{timestamp(attempt.started_at)}  run {attempt.run}, attempt {attempt.number}: "
            f"{attempt.outcome} by {attempt.provider}, {attempt.duration_ms:,} ms, {attempt.target}"
        )
    )
    if attempt.error:
        line.append(f"\n    {_indented(attempt.error)}", style="dim")
    return line


def _show_fields(screen: Screen, fields: dict[str, object]) -> None:
    for name, value in fields.items():
        if value is None:
            continue
        line = Text(f"{name + ':':<{_LABEL_WIDTH + 2}}", style="bold")
        shown = value if isinstance(value, Text) else Text(_indented(str(value)), style="not bold")
        screen.show(line.append_text(shown), soft_wrap=True)


def _heading(screen: Screen, title: str) -> None:
    screen.show(Text(f"\n{title}", style="bold underline"))


def _indented(text: str) -> str:
    return visible(text.rstrip()).replace("\n", "\n    ")
