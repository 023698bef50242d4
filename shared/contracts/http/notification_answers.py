"""Public bodies of the notification routes: what a sender is told."""

from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import Field

from shared.contracts.channels import Channel
from shared.contracts.delivery import Attempt
from shared.contracts.http.base import PageQuery, ProblemBody, StrictModel
from shared.contracts.http.notifications import Category, StoredMetadata, TemplateCode, Timestamp


class NotificationStatus(StrEnum):
    """Where a notification stands; ARCHITECTURE.md draws the ways between them."""

    SCHEDULED = "scheduled"
    ACCEPTED = "accepted"
    QUEUED = "queued"
    SENDING = "sending"
    RETRYING = "retrying"
    DEFERRED = "deferred"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"


class NotificationAccepted(StrictModel):
    """The answer to POST /notifications: it is stored, and will be sent or visibly fail."""

    id: UUID
    status: NotificationStatus = Field(examples=["accepted"])
    user_id: UUID | None
    notification_type: Channel
    template_code: str | None = Field(examples=["order_shipped"])
    priority: int = Field(examples=[5])
    category: str = Field(examples=["transactional"])
    metadata: StoredMetadata = Field(examples=[{"order": "123"}])
    scheduled_at: datetime | None = Field(examples=[None])
    created_at: datetime


class NotificationItem(NotificationAccepted):
    """A notification in a list. `error`: why it is not sent, for people; `error_type` names the cause."""

    error: str | None
    error_type: str | None
    possible_duplicate: bool
    batch_id: UUID | None = Field(examples=[None])
    expires_at: datetime | None = Field(examples=[None])
    test: bool
    updated_at: datetime


class AttemptItem(StrictModel):
    """One call of a provider for one target, which is an address or a device."""

    number: int
    run: int = Field(description="1 at first, one more for each repetition by an operator or deferral.")
    target: str = Field(examples=["ann@example.com"])
    provider: str = Field(examples=["smtp"])
    outcome: str = Field(examples=["accepted", "rejected", "retryable", "throttled", "unknown"])
    error: str | None
    started_at: datetime
    duration_ms: int

    @classmethod
    def of(cls, attempt: Attempt, *, run: int, target: str) -> Self:
        """As the ledger reported it."""
        return cls(
            number=attempt.number,
            run=run,
            target=target,
            provider=attempt.provider,
            outcome=attempt.outcome,
            error=None if attempt.problem is None else attempt.problem.message,
            started_at=attempt.started_at,
            duration_ms=attempt.duration_ms,
        )


class TimelineItem(StrictModel):
    """When a notification came into a status."""

    status: NotificationStatus = Field(examples=["accepted"])
    at: datetime
    detail: str | None


class NotificationDetail(NotificationItem):
    """GET /notifications/{id}."""

    language: str | None = Field(examples=["fr-CA"])
    template_version: int | None
    correlation_id: str = Field(examples=["0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d"])
    attempts: tuple[AttemptItem, ...]
    timeline: tuple[TimelineItem, ...]


class BatchResult(StrictModel):
    """What became of one entry: `id` where it was accepted, else `error`."""

    index: int = Field(examples=[0])
    id: UUID | None = Field(default=None, examples=["0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d"])
    error: ProblemBody | None = None


class BatchAccepted(StrictModel):
    """The answer to POST /notifications/batch; `results` in the order of the entries."""

    batch_id: UUID
    accepted: int
    rejected: int = Field(examples=[0])
    results: tuple[BatchResult, ...]


class NotificationQuery(PageQuery):
    """GET /notifications: each filter narrows the list."""

    user_id: UUID | None = None
    status: NotificationStatus | None = None
    notification_type: Channel | None = None
    template_code: TemplateCode | None = None
    category: Category | None = None
    batch_id: UUID | None = None
    event_id: str | None = Field(default=None, max_length=255)
    created_after: Timestamp | None = Field(default=None, description="At this time or later.")
    created_before: Timestamp | None = Field(default=None, description="Before this time.")
