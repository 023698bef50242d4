"""Named places on the way of a notification at which a process can be told to die, as if by kill -9.

For tests and experiments that are to show that nothing is lost and nothing is sent twice in silence. They
are armed by CARILLON_CRASH_AT, which production refuses; unarmed, a place costs one comparison.
"""

import os
import signal
from dataclasses import dataclass
from enum import StrEnum


class CrashPoint(StrEnum):
    """Where, in the order of the way; the value says what has just happened."""

    ACCEPT_COMMITTED = "accept.committed"
    RELAY_CONFIRMED = "relay.confirmed"
    SWEEP_CLAIMED = "sweep.claimed"
    MESSAGE_TAKEN = "message.taken"
    MESSAGE_PREPARED = "message.prepared"
    TARGETS_OPENED = "targets.opened"
    CLAIM_COMMITTED = "claim.committed"
    PROVIDER_ANSWERED = "provider.answered"
    SETTLEMENT_COMMITTED = "settlement.committed"
    OUTCOME_REPORTED = "outcome.reported"
    MESSAGE_FINISHED = "message.finished"
    REPORTS_COMMITTED = "reports.committed"
    FAILURE_COMMITTED = "failure.committed"


@dataclass(kw_only=True)
class _Armed:
    """Dies when `point` is reached for the `left`-th time."""

    point: CrashPoint
    left: int


_armed: _Armed | None = None


def parse(spec: str) -> tuple[CrashPoint, int]:
    """`claim.committed`, or `claim.committed:3` for the third time. Raises ValueError."""
    name, _, count = spec.partition(":")
    try:
        point = CrashPoint(name)
    except ValueError:
        raise ValueError(f"there is no such point; there are {', '.join(CrashPoint)}") from None
    if count and not (count.isascii() and count.isdigit() and int(count) > 0):
        raise ValueError("after the colon stands the how-manieth time, 1 or more")
    return point, int(count or 1)


def arm(spec: str | None) -> None:
    """Die at this point; None: nowhere. Raises ValueError."""
    global _armed  # noqa: PLW0603 - one for the process, as its death is
    if spec is None:
        _armed = None
        return
    point, count = parse(spec)
    _armed = _Armed(point=point, left=count)


def reach(point: CrashPoint) -> None:
    """Called on the way. Does not return where the process is to die here."""
    if _armed is None or _armed.point is not point:
        return
    _armed.left -= 1
    if _armed.left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
