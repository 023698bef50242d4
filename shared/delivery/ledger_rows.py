"""The ledger's values: one row for each target of each run."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from shared.contracts.channels import Channel
from shared.contracts.delivery import Attempt, DeliveryReported, DeliveryState, Problem
from shared.delivery.retry import DoubtStep, Settlement


@dataclass(frozen=True, kw_only=True)
class TargetKey:
    """What the ledger's primary key is made of."""

    notification_id: UUID
    run: int
    target: str


@dataclass(frozen=True, kw_only=True)
class Opening:
    """A target that is about to be delivered to; `request` is the message as it came, `targets` how many
    the run has."""

    key: TargetKey
    targets: int
    request: bytes
    correlation_id: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The wish to make attempt number `attempt` of a target: granted only where that is the next and is due.

    `token` is the caller's own: a claim whose answer got lost is granted to it again."""

    opening: Opening
    attempt: int
    provider: str
    lease: timedelta
    token: UUID


@dataclass(frozen=True, kw_only=True)
class SettledAttempt:
    """What came of a claimed attempt. `entry` goes to the end of the history; None where it says no more
    than the one before (a provider that goes on throttling). `ended_step`: it is not a call that is settled,
    but this step about the doubt that a call has left."""

    key: TargetKey
    attempt: int
    settlement: Settlement
    provider_message_id: str | None
    problem: Problem | None
    entry: Attempt | None
    ended_step: DoubtStep | None = None


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """The end of a target without a further call: suppressed, deferred, expired, or failed before a provider
    was asked. `attempt`: the last that it was decided on; after another it does not hold any more."""

    opening: Opening
    attempt: int
    state: DeliveryState
    problem: Problem
    deferred_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """A row as it stands. `due_in_s` and `lease_in_s` are seconds from now on PostgreSQL's clock, negative
    when past; None where the state has none. `resumed`: how often a sweep has taken it since its claim."""

    key: TargetKey
    targets: int
    state: DeliveryState
    attempt: int
    due_in_s: float | None
    lease_in_s: float | None
    provider: str | None
    provider_message_id: str | None
    problem: Problem | None
    possible_duplicate: bool
    deferred_until: datetime | None
    attempts: tuple[Attempt, ...]
    request: bytes | None
    correlation_id: str
    updated_at: datetime
    doubt: DoubtStep | None
    resumed: int

    def report(self, channel: Channel) -> DeliveryReported:
        """The row as the gateway is told of it."""
        return DeliveryReported(
            notification_id=self.key.notification_id,
            run=self.key.run,
            target=self.key.target,
            targets=self.targets,
            channel=channel,
            attempt=self.attempt,
            state=self.state,
            provider=self.provider,
            provider_message_id=self.provider_message_id,
            problem=self.problem,
            possible_duplicate=self.possible_duplicate,
            deferred_until=self.deferred_until,
            attempts=self.attempts,
            occurred_at=self.updated_at,
            correlation_id=self.correlation_id,
        )
