"""The messages between the gateway and the channel services.

Wire form: JSON, one object, the field `type` names message and version. Times are RFC 3339 in UTC.
Golden bytes in tests/contracts hold the wire form; a change of it is a new version with a new name.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from shared.contracts.channels import Channel, Lane


class TemplateMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="template"):
    """What to say, by template. `version` is pinned at release; None where the template service was
    away then."""

    code: str
    language: str | None
    version: int | None
    variables: dict[str, Any]


class InlineMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="inline"):
    """What to say, given by the sender word for word: never rendered as a template."""

    subject: str | None
    body: str


class DeliveryRequested(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="type",
    tag="delivery.requested.v1",
):
    """The gateway's order to deliver one notification once, in one run.

    Exactly one of `user_id` and `address` is set; `address` is in the form of the channel (a mail
    address, a device token). `expires_at`: never to be sent after it. `test`: goes the whole way and
    stops short of the provider. `except_targets` are left out: an earlier run has reached them, or may have;
    the field is there only where there are some.
    """

    notification_id: UUID
    run: int
    channel: Channel
    lane: Lane
    category: str
    priority: int
    user_id: UUID | None
    address: str | None
    message: TemplateMessage | InlineMessage
    correlation_id: str
    created_at: datetime
    expires_at: datetime | None
    test: bool
    except_targets: tuple[str, ...] = ()


class DeliveryState(StrEnum):
    """Where one target of one run stands, in the channel's ledger."""

    PENDING = "pending"
    SENDING = "sending"
    RETRYING = "retrying"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    DEFERRED = "deferred"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


TERMINAL_STATES = frozenset(
    {
        DeliveryState.SENT,
        DeliveryState.FAILED,
        DeliveryState.SUPPRESSED,
        DeliveryState.DEFERRED,
        DeliveryState.EXPIRED,
        DeliveryState.UNKNOWN,
    }
)
"""States that end a run for a target; `unknown` may still be settled by late evidence or an operator."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why something was not sent. `kind` is stable and groups causes (`template.variable_missing`,
    `provider.refused`, …); `message` is for people and holds no address, token or variable."""

    kind: str
    message: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a provider. `outcome`: accepted, rejected, retryable, throttled or unknown."""

    number: int
    provider: str
    outcome: str
    problem: Problem | None
    started_at: datetime
    duration_ms: int


class DeliveryReported(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="delivery.reported.v1"
):
    """What the ledger says of one target: may come in any order, twice, or late.

    Reports of a target are ordered by (`run`, `attempt`, rank of `state`). `target` names one address or
    one device without disclosing it; `targets` is how many the run has. `attempts` is the whole history
    of the target within the run. `deferred_until` is set in state `deferred` alone.
    """

    notification_id: UUID
    run: int
    target: str
    targets: int
    channel: Channel
    attempt: int
    state: DeliveryState
    provider: str | None
    provider_message_id: str | None
    problem: Problem | None
    possible_duplicate: bool
    deferred_until: datetime | None
    attempts: tuple[Attempt, ...]
    occurred_at: datetime
    correlation_id: str


class DeliveriesReported(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="deliveries.reported.v1"
):
    """Reports that came up within a few milliseconds, of any targets and in any order: one message is
    carried, confirmed and acknowledged for all of them."""

    reports: tuple[DeliveryReported, ...]


class DeliveryParked(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="delivery.parked.v1"):
    """A failed target, with everything an operator needs to understand and repeat it; for
    failed.queue."""

    report: DeliveryReported
    request: DeliveryRequested
    stack: str | None


class TemplatePublished(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="template.published.v1"
):
    """Broadcast: what is cached of this template is no longer true."""

    code: str


# Between services over HTTP (`/internal/v1`), as JSON.


class DeliveryKey(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a notification."""

    notification_id: UUID
    run: int


class LedgerQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """POST /internal/v1/ledger/lookup of a channel service: at most 500 keys."""

    keys: tuple[DeliveryKey, ...]


class LedgerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The newest report of every target the ledger knows; a key without one is unknown to it."""

    reports: tuple[DeliveryReported, ...]


class ReportReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway has this report, or a newer one of the target, in its database."""

    notification_id: UUID
    run: int
    target: str
    attempt: int
    state: DeliveryState


class ReportReceipts(msgspec.Struct, frozen=True, kw_only=True):
    """POST /internal/v1/ledger/receipts of a channel service: at most 1,000."""

    receipts: tuple[ReportReceipt, ...]


class LedgerPurge(msgspec.Struct, frozen=True, kw_only=True):
    """POST /internal/v1/ledger/purge of a channel service: the gateway keeps nothing any more, and will never
    ask again, about notifications whose id is lower than `before`."""

    before: UUID


class LedgerPurged(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows went; there may be more until it is 0."""

    rows: int
