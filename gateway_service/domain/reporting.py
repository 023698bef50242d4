"""Taking over what the ledgers report: targets are kept, notifications move, closed runs leave the outbox."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from gateway_service.domain.counting import PARKED, REPORTS
from gateway_service.domain.status import (
    RANKS,
    Standing,
    TargetState,
    advance,
    aggregate,
    in_view_of,
    is_newer,
)
from gateway_service.storage.failures import FailedDelivery, keep_failure
from gateway_service.storage.notifications import TimelineEntry
from gateway_service.storage.outbox import RunKey
from gateway_service.storage.reporting import (
    MAY_HAVE_TAKEN,
    Change,
    LockedNotification,
    TargetRow,
    close_runs,
    close_what_was_taken,
    load_earlier_states,
    load_targets,
    lock_notifications,
    move,
    open_runs,
    store_reports,
)
from shared.contracts.delivery import DeliveryReported, DeliveryState
from shared.contracts.http.notification_answers import NotificationStatus as Status
from shared.database.engine import Connection, Database
from shared.database.errors import DatabaseUnavailable

log = structlog.get_logger()

_TRIES = 3
_UNRELEASED = frozenset({Status.ACCEPTED, Status.SCHEDULED, Status.DEFERRED})
_DEFERRED_WITHOUT_TIME = timedelta(minutes=1)
_OTHERS_WAIT = "For others of its addresses or devices it is deferred."


async def apply_reports(
    connection: Connection, reports: Sequence[DeliveryReported], *, now: datetime
) -> list[RunKey]:
    """Within the open transaction; the runs that this closes. Reports of notifications that are gone, and
    reports older than what is known, change nothing. Raises what the database raises."""
    newest = _newest(reports)
    locked = await lock_notifications(connection, sorted({key[0] for key in newest}))
    kept = [report for key, report in newest.items() if key[0] in locked]
    if not kept:
        return []
    await store_reports(connection, [(report, RANKS[report.state]) for report in kept])
    current = sorted({(report.notification_id, locked[report.notification_id].run) for report in kept})
    targets = await load_targets(connection, current)
    last = {report.notification_id: report for report in sorted(kept, key=lambda item: item.occurred_at)}
    changes: list[Change] = []
    closed: list[RunKey] = []
    opened: list[tuple[UUID, int, datetime]] = []
    standings = {key: aggregate([_target_state(row) for row in rows]) for key, rows in targets.items()}
    over = [key for key, standing in standings.items() if key[1] > 1 and standing.closed]
    earlier = await load_earlier_states(connection, over) if over else {}
    for key, run_standing in standings.items():
        standing = in_view_of(run_standing, earlier.get(key[0], frozenset()))
        change = _change(key, locked[key[0]], standing, last[key[0]], now=now)
        if change is not None:
            changes.append(change)
        if standing.closed:
            closed.append(key)
            if change is not None and change.run > key[1]:
                opened.append((key[0], change.run, standing.deferred_until or now + _DEFERRED_WITHOUT_TIME))
    if changes:
        await move(connection, changes)
    # Looked at only where a failure stood: a late yes is rare, and every report comes this way.
    taken = [
        (report.notification_id, report.run, report.target)
        for report in kept
        if report.state is DeliveryState.SENT and locked[report.notification_id].status is Status.FAILED
    ]
    if taken:
        await close_what_was_taken(connection, taken)
    if closed:
        await close_runs(connection, closed)
    if opened:
        await open_runs(connection, opened, left_out=MAY_HAVE_TAKEN)
    for report in kept:
        REPORTS.labels(report.channel.value, report.state.value).inc()
    return closed


def _newest(reports: Sequence[DeliveryReported]) -> dict[tuple[UUID, int, str], DeliveryReported]:
    """One report for each target, since one statement can write a row only once."""
    newest: dict[tuple[UUID, int, str], DeliveryReported] = {}
    for report in reports:
        key = (report.notification_id, report.run, report.target)
        known = newest.get(key)
        if known is None or is_newer((report.attempt, report.state), (known.attempt, known.state)):
            newest[key] = report
    return newest


def _target_state(row: TargetRow) -> TargetState:
    return TargetState(
        state=row.state,
        expected=row.expected,
        error=row.error,
        error_kind=row.error_kind,
        possible_duplicate=row.possible_duplicate,
        deferred_until=row.deferred_until,
    )


def _change(
    key: RunKey,
    current: LockedNotification,
    standing: Standing,
    report: DeliveryReported,
    *,
    now: datetime,
) -> Change | None:
    """What the notification becomes; None where it stays as it is. A deferral of any target opens the next
    run, also where the status stays, since another target took it."""
    status = advance(current.status, standing.status)
    # A status that stays against what is reported keeps its words, too.
    spoken = standing if status is standing.status else current
    deferred = standing.some_wait
    doubtful = standing.possible_duplicate and not current.possible_duplicate
    if status is current.status and spoken.error == current.error and not doubtful and not deferred:
        return None
    timeline: list[TimelineEntry] = []
    if status is not current.status or deferred:
        if current.status in _UNRELEASED and status is not Status.QUEUED:
            # The report overtook the relay's own note that the broker has it.
            started = min((attempt.started_at for attempt in report.attempts), default=report.occurred_at)
            timeline.append(TimelineEntry(status=Status.QUEUED, at=started))
        detail = standing.error if status is Status.DEFERRED or not deferred else _OTHERS_WAIT
        timeline.append(TimelineEntry(status=status, at=report.occurred_at, detail=detail))
    return Change(
        id=key[0],
        status=status,
        run=key[1] + 1 if deferred else key[1],
        error=spoken.error,
        error_kind=spoken.error_kind,
        possible_duplicate=standing.possible_duplicate,
        at=now,
        timeline=tuple(timeline),
    )


async def take_over(
    database: Database,
    reports: Sequence[DeliveryReported],
    *,
    now: datetime,
    failure: FailedDelivery | None = None,
) -> list[RunKey]:
    """Apply reports in one transaction, and keep the failure they tell of, if any; the runs that this
    closes. Repeated where another transaction is in the way. Raises DatabaseUnavailable, and what the data
    cause: nothing has changed."""
    for _ in range(_TRIES):
        try:
            async with database.transaction() as connection:
                closed = await apply_reports(connection, reports, now=now)
                kept = failure is not None and await keep_failure(connection, failure)
            if failure is not None and kept:
                _tell(failure)
            return closed
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            log.info("reports.repeated", count=len(reports))
    raise DatabaseUnavailable("other transactions are in the way")


def _tell(failure: FailedDelivery) -> None:
    """Once: a ledger repeats what it had no receipt for."""
    PARKED.labels("delivery").inc()
    report = failure.parked.report
    log.warning(
        "notification.parked",
        notification_id=str(report.notification_id),
        error_kind=None if report.problem is None else report.problem.kind,
    )
