"""Public bodies of the notification routes: what a sender is told."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from shared.contracts.channels import Channel
from shared.contracts.http.base import PageQuery, ProblemBody, StrictModel
from shared.contracts.http.notifications import Category, Metadata, TemplateCode, Timestamp


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
    status: NotificationStatus
    user_id: UUID | None
    notification_type: Channel
    template_code: str | None
    priority: int
    category: str
    metadata: Metadata
    scheduled_at: datetime | None
    created_at: datetime


class NotificationItem(NotificationAccepted):
    """A notification in a list. `error`: why it is not sent, for people; `error_type` names the cause."""

    error: str | None
    error_type: str | None
    possible_duplicate: bool
    batch_id: UUID | None
    expires_at: datetime | None
    test: bool
    updated_at: datetime


class AttemptItem(StrictModel):
    """One call of a provider for one target, which is an address or a device."""

    number: int
    run: int = Field(description="1 at first, one more for each repetition by an operator or deferral.")
    target: str
    provider: str
    outcome: str = Field(examples=["accepted", "rejected", "retryable", "throttled", "unknown"])
    error: str | None
    started_at: datetime
    duration_ms: int


class TimelineItem(StrictModel):
    """When a notification came into a status."""

    status: NotificationStatus
    at: datetime
    detail: str | None


class NotificationDetail(NotificationItem):
    """GET /notifications/{id}."""

    language: str | None
    template_version: int | None
    correlation_id: str
    attempts: tuple[AttemptItem, ...]
    timeline: tuple[TimelineItem, ...]


class BatchResult(StrictModel):
    """What became of one entry: `id` where it was accepted, else `error`."""

    index: int
    id: UUID | None = None
    error: ProblemBody | None = None


class BatchAccepted(StrictModel):
    """The answer to POST /notifications/batch; `results` in the order of the entries."""

    batch_id: UUID
    accepted: int
    rejected: int
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
