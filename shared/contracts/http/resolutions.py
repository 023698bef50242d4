"""Public bodies of the routes by which an operator settles what is `unknown`."""

from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.channels import Channel
from shared.contracts.http.base import StrictModel
from shared.contracts.http.notifications import Category, TemplateCode, Timestamp

USUAL_LIMIT = 1_000
MOST_AT_ONCE = 10_000


class Resolution(StrEnum):
    """What an operator knows, or dares. `sent`: it did go out. `resend`: send it once more, although it may
    then arrive twice."""

    SENT = "sent"
    RESEND = "resend"


class ResolveRequest(StrictModel):
    """POST /notifications/{id}/resolve."""

    outcome: Resolution


class UnknownFilter(StrictModel):
    """Which of the `unknown` are meant: those to which every field that is given applies. One has to be, so
    that nobody settles everything by leaving something out; everything until now is `created_before`."""

    notification_type: Channel | None = None
    template_code: TemplateCode | None = None
    category: Category | None = Field(default=None, examples=["promotional"])
    user_id: UUID | None = None
    batch_id: UUID | None = None
    event_id: str | None = Field(default=None, max_length=255)
    created_after: Timestamp | None = Field(default=None, description="At this time or later.")
    created_before: Timestamp | None = Field(
        default=None, description="Before this time.", examples=["2030-01-31T08:00:00Z"]
    )

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise PydanticCustomError(
                "empty_filter", "Name at least one field; for everything until now, created_before"
            )
        return self


class BulkResolveRequest(StrictModel):
    """POST /notifications/resolve."""

    filter: UnknownFilter
    outcome: Resolution
    limit: int = Field(
        default=USUAL_LIMIT, ge=1, le=MOST_AT_ONCE, description="At most so many, the oldest first."
    )


class BulkResolved(StrictModel):
    """What was settled now. `remaining`: how many the same call would still settle, counted up to 10,000.
    `expired`: how many `resend` leaves as they are, since their time is over; likewise."""

    outcome: Resolution
    resolved: int = Field(examples=[1000])
    remaining: int = Field(examples=[250])
    expired: int = Field(examples=[0])
