"""What can come of calling a provider. Outcomes are values; providers raise nothing."""

from dataclasses import dataclass

from shared.contracts.delivery import Problem
from shared.process.breaker import Verdict


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The provider took the message."""

    provider_message_id: str | None


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """The provider will never take it: an invalid address, a malformed message, a dead token."""

    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Retryable:
    """Not taken for certain, and may be taken later: refused connection, a documented 5xx, SMTP 4yz.

    `provider_at_fault` is False where it says nothing of the provider (a full mailbox, greylisting, our own
    deadline): such a one counts as an attempt, but not towards the provider's circuit breaker.
    """

    problem: Problem
    provider_at_fault: bool = True


@dataclass(frozen=True, kw_only=True)
class Throttled:
    """429: not taken; spends no attempt and holds the provider for `after_s` seconds."""

    after_s: float
    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """May or may not have been taken: time-out or reset after the body was sent, an expired lease."""

    problem: Problem


Outcome = Accepted | Rejected | Retryable | Throttled | Unknown


def verdict_of(outcome: Outcome) -> Verdict:
    """What an outcome says of the provider to its circuit breaker."""
    match outcome:
        case Accepted():
            return Verdict.WORKED
        case Rejected():
            return Verdict.ANSWERED
        case Retryable(provider_at_fault=True) | Unknown():
            return Verdict.FAILED
        case Retryable() | Throttled():
            return Verdict.NOTHING
