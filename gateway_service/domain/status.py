"""The status of a notification: a pure state machine over what the ledger reports of its targets.

Within a run a status only moves forward. A report is newer than another of the same target when its
(attempt, rank) is higher; so reports may come in any order, twice, or late, and the end is the same.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.contracts.delivery import TERMINAL_STATES, DeliveryState
from shared.contracts.http.notification_answers import NotificationStatus as Status

RANKS: dict[DeliveryState, int] = {
    DeliveryState.PENDING: 0,
    DeliveryState.SENDING: 1,
    DeliveryState.RETRYING: 2,
    DeliveryState.UNKNOWN: 3,
    DeliveryState.EXPIRED: 4,
    DeliveryState.SUPPRESSED: 4,
    DeliveryState.DEFERRED: 4,
    DeliveryState.FAILED: 5,
    DeliveryState.SENT: 6,
}
"""The order of states within one attempt. `unknown` comes first of those that end: evidence settles it;
`sent` comes last: what was taken cannot be untaken."""

_WAITING = {
    Status.SCHEDULED: 0,
    Status.DEFERRED: 0,
    Status.ACCEPTED: 1,
    Status.QUEUED: 2,
    Status.SENDING: 3,
    Status.RETRYING: 3,
}
_OVERTAKEN = frozenset({Status.DELIVERED, Status.BOUNCED, Status.CANCELLED, Status.DISCARDED})
"""Said by somebody who knows more than a delivery report does: a callback, or a person."""
_FINAL = _OVERTAKEN | {Status.SENT}
"""What no report of the same run takes back: what was taken cannot be untaken, and an operator who has
settled a doubt as sent is not contradicted by a report that repeats the doubt."""

_ENDS_BY_WEIGHT = (
    (DeliveryState.SENT, Status.SENT),
    (DeliveryState.UNKNOWN, Status.UNKNOWN),
    (DeliveryState.DEFERRED, Status.DEFERRED),
    (DeliveryState.FAILED, Status.FAILED),
    (DeliveryState.EXPIRED, Status.EXPIRED),
    (DeliveryState.SUPPRESSED, Status.SUPPRESSED),
)
"""Which end of several targets speaks for the notification: what may have gone out comes before what
did not, and what can still be repeated before what is over."""


@dataclass(frozen=True, kw_only=True)
class TargetState:
    """What the newest report of a target says. `expected`: how many targets the run has."""

    state: DeliveryState
    expected: int
    error: str | None = None
    error_kind: str | None = None
    possible_duplicate: bool = False
    deferred_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the targets of a run come to. `closed`: the run is over for every target.

    `some_wait`: it is, and some of them are deferred, whatever the others say: these want another run, at
    `deferred_until`, where that is known.
    """

    status: Status
    closed: bool
    error: str | None
    error_kind: str | None
    possible_duplicate: bool
    some_wait: bool
    deferred_until: datetime | None


def is_newer(new: tuple[int, DeliveryState], known: tuple[int, DeliveryState]) -> bool:
    """Whether a report of (attempt, state) overtakes what is known of the same target and run."""
    return (new[0], RANKS[new[1]]) > (known[0], RANKS[known[1]])


def aggregate(targets: Sequence[TargetState]) -> Standing:
    """The standing of a run with at least one known target.

    `sent` as soon as one target took it, `failed` and the other ends only once every target has ended.
    """
    expected = max(target.expected for target in targets)
    closed = len(targets) >= expected and all(target.state in TERMINAL_STATES for target in targets)
    status, decisive = _decide(targets, closed=closed)
    waiting = [target for target in targets if closed and target.state is DeliveryState.DEFERRED]
    times = [target.deferred_until for target in waiting if target.deferred_until is not None]
    explained = status is not Status.SENT and decisive is not None
    return Standing(
        status=status,
        closed=closed,
        error=decisive.error if explained and decisive else None,
        error_kind=decisive.error_kind if explained and decisive else None,
        possible_duplicate=any(target.possible_duplicate for target in targets),
        some_wait=bool(waiting),
        deferred_until=max(times, default=None),
    )


def in_view_of(standing: Standing, earlier: Collection[DeliveryState]) -> Standing:
    """A run that was not sent, where an earlier one, which somebody has ordered to be repeated, was sent
    after all, or may have been: "suppressed" or "failed" would say that nothing went out."""
    if not standing.closed or standing.status in (Status.SENT, Status.DEFERRED):
        return standing
    if DeliveryState.SENT in earlier:
        return replace(standing, status=Status.SENT, error=None, error_kind=None)
    if DeliveryState.UNKNOWN in earlier:
        return replace(standing, status=Status.UNKNOWN)
    return standing


def _decide(targets: Sequence[TargetState], *, closed: bool) -> tuple[Status, TargetState | None]:
    sent = _first(targets, DeliveryState.SENT)
    if sent is not None:
        return Status.SENT, sent
    if closed:
        for state, status in _ENDS_BY_WEIGHT:
            decisive = _first(targets, state)
            if decisive is not None:
                return status, decisive
    for state, status in (
        (DeliveryState.RETRYING, Status.RETRYING),
        (DeliveryState.SENDING, Status.SENDING),
    ):
        decisive = _first(targets, state)
        if decisive is not None:
            return status, decisive
    return Status.QUEUED, None


def _first(targets: Iterable[TargetState], state: DeliveryState) -> TargetState | None:
    return next((target for target in targets if target.state is state), None)


def advance(current: Status, computed: Status) -> Status:
    """Where a notification stands that stood at `current` when its run came to `computed`."""
    if current in _FINAL:
        return current
    if computed is Status.DEFERRED or computed not in _WAITING:
        # An end of the run: for `deferred`, the next one begins.
        return computed
    if current in _WAITING and _WAITING[computed] >= _WAITING[current]:
        return computed
    return current
