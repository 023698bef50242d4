"""The last minutes as a table: how many were accepted in each, and how those stand now."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway_service.domain.overview import MOST_RECENT
from gateway_service.storage.overview import MinuteCount
from shared.contracts.http.notification_answers import NotificationStatus

_UNDER_WAY = frozenset(
    {
        NotificationStatus.SCHEDULED,
        NotificationStatus.ACCEPTED,
        NotificationStatus.QUEUED,
        NotificationStatus.SENDING,
        NotificationStatus.RETRYING,
        NotificationStatus.DEFERRED,
    }
)
_OWN_COLUMN = {
    NotificationStatus.SENT: "sent",
    NotificationStatus.DELIVERED: "sent",
    NotificationStatus.FAILED: "failed",
    NotificationStatus.BOUNCED: "failed",
    NotificationStatus.UNKNOWN: "unknown",
}


@dataclass(frozen=True, kw_only=True)
class MinuteRow:
    """`other`: suppressed, expired, cancelled, discarded."""

    minute: datetime
    accepted: int
    sent: int
    under_way: int
    failed: int
    unknown: int
    other: int


@dataclass(frozen=True, kw_only=True)
class MinuteTable:
    """`rows`: newest first; `complete`: whether all of the time was counted."""

    rows: tuple[MinuteRow, ...]
    total: int
    complete: bool


def table_of(counts: Sequence[MinuteCount]) -> MinuteTable:
    """Of counts by minute and status."""
    by_minute: dict[datetime, Counter[str]] = {}
    for count in counts:
        column = "under_way" if count.status in _UNDER_WAY else _OWN_COLUMN.get(count.status, "other")
        by_minute.setdefault(count.minute, Counter())[column] += count.count
    rows = tuple(
        MinuteRow(
            minute=minute,
            accepted=columns.total(),
            sent=columns["sent"],
            under_way=columns["under_way"],
            failed=columns["failed"],
            unknown=columns["unknown"],
            other=columns["other"],
        )
        for minute, columns in sorted(by_minute.items(), reverse=True)
    )
    total = sum(row.accepted for row in rows)
    return MinuteTable(rows=rows, total=total, complete=total < MOST_RECENT)
