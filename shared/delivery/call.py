"""What one attempt needs to know, and what is told of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from shared.contracts.channels import Channel
from shared.contracts.delivery import Attempt, DeliveryReported, DeliveryRequested, DeliveryState
from shared.delivery.ledger_rows import LedgerRow, Opening
from shared.delivery.provider import Target

ContentT = TypeVar("ContentT")


@dataclass(frozen=True, kw_only=True)
class Call(Generic[ContentT]):
    """What one attempt needs to know. `row` is what the ledger has of the target, None before the first
    attempt; `token` makes asking for the same claim again safe; `called` is told as soon as the provider has
    answered, before that is settled."""

    request: DeliveryRequested
    opening: Opening
    target: Target
    content: ContentT
    row: LedgerRow | None
    token: UUID
    called: Callable[[], None]

    @property
    def attempt(self) -> int:
        """Its number, from 1 on."""
        return 1 if self.row is None else self.row.attempt + 1

    @property
    def earlier(self) -> tuple[Attempt, ...]:
        """The run's attempts so far."""
        return () if self.row is None else self.row.attempts


@dataclass(frozen=True, kw_only=True)
class CallEnded:
    """`claimed` is False where another copy of the message was faster; `step` is the broker's delay after
    which the message is to come back, None where it is not."""

    claimed: bool
    step: int | None = None


def sending_report(
    call: Call[ContentT], *, channel: Channel, provider: str, at: datetime
) -> DeliveryReported:
    """What is told of a slow call while it goes on."""
    return DeliveryReported(
        notification_id=call.request.notification_id,
        run=call.request.run,
        target=call.target.id,
        targets=call.opening.targets,
        channel=channel,
        attempt=call.attempt,
        state=DeliveryState.SENDING,
        provider=provider,
        provider_message_id=None,
        problem=None,
        possible_duplicate=call.row is not None and call.row.possible_duplicate,
        deferred_until=None,
        attempts=call.earlier,
        occurred_at=at,
        correlation_id=call.request.correlation_id,
    )
