"""Public bodies of the routes by which operators find, understand and mend what failed.

A failure is one address or device to which a run of a notification could not be delivered, or a message that
nobody could read. Personal data (addresses, variables, words, bytes) are shown to whoever has the scope
users:read, and masked for all others.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, JsonValue, StringConstraints

from shared.contracts.channels import Channel
from shared.contracts.http.base import PageQuery, StrictModel
from shared.contracts.http.notification_answers import AttemptItem, NotificationStatus
from shared.contracts.http.notifications import TemplateCode, Timestamp

Word = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,120}$")]
"""A provider's name or a kind of error."""
Cause = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{32}$"),
    Field(examples=["5d41402abc4b2a76b9719d911017c592"]),
]
"""Names what failures have in common: channel, provider, kind of error and template."""


class FailureStatus(StrEnum):
    """`open`: somebody has to look at it; `reprocessed`: it was sent again, in a later run; `discarded`: it
    never will be."""

    OPEN = "open"
    REPROCESSED = "reprocessed"
    DISCARDED = "discarded"


class FailureFilter(StrictModel):
    """Which failures are meant: those to which every field that is given applies."""

    notification_type: Channel | None = None
    provider: Word | None = Field(default=None, examples=["smtp"])
    error_type: Word | None = Field(default=None, examples=["template.variable_missing"])
    template_code: TemplateCode | None = None
    cause: Cause | None = Field(default=None, description="As named by `GET /failed/summary`.")
    notification_id: UUID | None = None
    since: Timestamp | None = Field(default=None, description="Failed at this time or later.")
    until: Timestamp | None = Field(default=None, description="Failed before this time.")


class FailureQuery(PageQuery, FailureFilter):
    """GET /failed: newest first."""

    status: FailureStatus = FailureStatus.OPEN
    job_id: UUID | None = Field(default=None, description="What this job has sent again.")


class FailureItem(StrictModel):
    """A failure in a list. What could not be read has neither notification nor channel."""

    id: UUID
    notification_id: UUID | None
    target: str | None = Field(description="Names the address or device without disclosing it.")
    run: int | None
    notification_type: Channel | None
    provider: str | None = Field(examples=["smtp"])
    error_type: str = Field(examples=["template.variable_missing"])
    error: str = Field(examples=["The template needs the variable `name`."])
    template_code: str | None = Field(examples=["order_shipped"])
    cause: str = Field(examples=["5d41402abc4b2a76b9719d911017c592"])
    status: FailureStatus
    created_at: datetime
    closed_at: datetime | None
    closed_by: str | None = Field(examples=["account 0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d"])
    job_id: UUID | None


class FailedMessage(StrictModel):
    """The whole message as the channel had it. `masked`: personal data are left out, since the caller has no
    scope users:read."""

    user_id: UUID | None
    address: str | None = Field(description="Where it was to go, if the sender said so.")
    template_code: str | None
    template_version: int | None
    language: str | None
    variables: dict[str, JsonValue] | None
    subject: str | None
    body: str | None
    category: str = Field(examples=["transactional"])
    priority: int = Field(examples=[5])
    lane: str = Field(examples=["normal"])
    test: bool
    correlation_id: str = Field(examples=["0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d"])
    accepted_at: datetime
    expires_at: datetime | None
    masked: bool


class RawMessage(StrictModel):
    """What could not be read. `base64`: its bytes, for whoever has the scope users:read."""

    size: int = Field(examples=[120])
    sha256: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    base64: str | None


class OperatorAct(StrEnum):
    """What somebody did about failures."""

    REPROCESSED = "reprocessed"
    DISCARDED = "discarded"
    JOB_STARTED = "job.started"
    JOB_PAUSED = "job.paused"
    JOB_RESUMED = "job.resumed"
    JOB_CANCELLED = "job.cancelled"
    JOB_STOPPED = "job.stopped"
    JOB_COMPLETED = "job.completed"


class AuditEntry(StrictModel):
    """Who did what, and when. `detail` holds no personal data: of a change it names the fields."""

    id: UUID
    at: datetime
    by: str = Field(examples=["account 0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d", "carillon"])
    act: OperatorAct
    failure_id: UUID | None
    notification_id: UUID | None
    job_id: UUID | None
    detail: str | None


class AuditQuery(PageQuery):
    """GET /failed/audit: newest first."""

    failure_id: UUID | None = None
    job_id: UUID | None = None


class FailureDetail(FailureItem):
    """GET /failed/{id}. `attempts`: every call of a provider in every run of the notification, those of other
    targets too. `stack`: where our own code failed; without `users:read` it names places but not values.
    `audit`: newest first, at most 50."""

    message: FailedMessage | None
    raw: RawMessage | None
    attempts: tuple[AttemptItem, ...]
    stack: str | None
    notification_status: NotificationStatus | None
    audit: tuple[AuditEntry, ...]


class CauseSummary(StrictModel):
    """Open failures that have the same cause. `error` and `example_id` are those of the latest."""

    cause: str = Field(examples=["5d41402abc4b2a76b9719d911017c592"])
    notification_type: Channel | None
    provider: str | None = Field(examples=["smtp"])
    error_type: str = Field(examples=["template.variable_missing"])
    template_code: str | None = Field(examples=["order_shipped"])
    count: int = Field(examples=[9000])
    first_seen: datetime
    last_seen: datetime
    example_id: UUID
    error: str = Field(examples=["The template needs the variable `name`."])


class FailureSummary(StrictModel):
    """GET /failed/summary: the most frequent causes first, at most 200. `total`: of all causes."""

    total: int = Field(examples=[9000])
    causes: tuple[CauseSummary, ...]
