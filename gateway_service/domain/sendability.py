"""Whether what failed can be sent again: a pure decision over how it stands."""

from datetime import datetime
from enum import Enum, auto

from gateway_service.domain.refusals import (
    DoubtFirst,
    NotOpen,
    NotReprocessable,
    Refused,
    StillInProgress,
    TimeIsOver,
)
from gateway_service.storage.reprocessing import Candidate
from shared.contracts.http.failures import FailureStatus
from shared.contracts.http.notification_answers import NotificationStatus


class Sendability(Enum):
    """`BUSY`: another address or device is still in work. `DOUBT`: one may have been reached, which an
    operator has to settle first: a new run would leave it out, and nobody would think of it any more."""

    READY = auto()
    CLOSED = auto()
    UNREADABLE = auto()
    EXPIRED = auto()
    BUSY = auto()
    DOUBT = auto()


def sendability(candidate: Candidate, *, now: datetime) -> Sendability:
    """What holds it back, if anything."""
    if candidate.status is not FailureStatus.OPEN:
        return Sendability.CLOSED
    if candidate.notification_status is None:
        return Sendability.UNREADABLE
    if candidate.run != candidate.current_run:
        return Sendability.CLOSED
    if candidate.expires_at is not None and candidate.expires_at <= now:
        return Sendability.EXPIRED
    if candidate.in_work:
        return Sendability.BUSY
    if candidate.notification_status is NotificationStatus.UNKNOWN:
        return Sendability.DOUBT
    return Sendability.READY


_REFUSALS: dict[Sendability, tuple[type[Refused], str]] = {
    Sendability.CLOSED: (NotOpen, "Somebody has reprocessed or discarded it already."),
    Sendability.UNREADABLE: (
        NotReprocessable,
        "Nobody could read this message, or its notification is gone: it can be exported or discarded.",
    ),
    Sendability.EXPIRED: (TimeIsOver, "It was not to be sent after its expires_at, which has passed."),
    Sendability.BUSY: (
        StillInProgress,
        "Another address or device of it is still in work: wait for its end.",
    ),
    Sendability.DOUBT: (
        DoubtFirst,
        "It may have gone out to another device: settle that first, with POST /notifications/{id}/resolve.",
    ),
}


def refusal_of(found: Sendability) -> Refused | None:
    """What to tell whoever wants to send it; None where it is ready."""
    if found is Sendability.READY:
        return None
    kind, message = _REFUSALS[found]
    return kind(message)


def refusal_to_discard(candidate: Candidate) -> Refused | None:
    """Why it cannot be discarded, if so: whatever is open can, unless another device is still in work."""
    if candidate.status is not FailureStatus.OPEN:
        return refusal_of(Sendability.CLOSED)
    return refusal_of(Sendability.BUSY) if candidate.in_work else None
