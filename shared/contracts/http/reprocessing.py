"""Public bodies of the routes by which operators send failures again, or discard them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.http.base import StrictModel
from shared.contracts.http.failures import FailureFilter
from shared.contracts.http.notifications import DirectAddress, TemplateCode, Variables

FASTEST = 1_000.0
USUAL_PER_SECOND = 100.0
FIRST_BATCH = 10
EXAMINED_AT_MOST = 10_000
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class FailureChanges(StrictModel):
    """What is to be another when it is sent again; `variables` replace all that there were."""

    to: DirectAddress | None = None
    template_code: TemplateCode | None = None
    variables: Variables | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that are changed."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) is not None)


class ReprocessRequest(StrictModel):
    """POST /failed/{id}/reprocess; may be left away altogether."""

    changes: FailureChanges | None = None


class DiscardRequest(StrictModel):
    """POST /failed/{id}/discard."""

    reason: Reason = Field(examples=["The order was cancelled by telephone."])


class JobFilter(FailureFilter):
    """Which open failures are meant. One field has to be given, so that nobody sends everything by leaving
    something out; everything until now is `until`."""

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if all(getattr(self, name) is None for name in FailureFilter.model_fields):
            raise PydanticCustomError(
                "empty_filter", "Name at least one field; for everything until now, until"
            )
        return self


class BulkReprocessRequest(StrictModel):
    """POST /failed/reprocess. `dry_run`: nothing is sent, the answer says what would be."""

    filter: JobFilter
    dry_run: bool = False
    limit: int | None = Field(
        default=None, ge=1, le=1_000_000, description="At most so many, the oldest first; default all."
    )
    per_second: float = Field(
        default=USUAL_PER_SECOND, ge=0.1, le=FASTEST, description="Sent again in a second; default 100."
    )
    skip_likely_duplicates: bool = Field(
        default=False, description="Leave what looks like a duplicate as it is; see `dry_run`."
    )


class BulkDiscardRequest(StrictModel):
    """POST /failed/discard."""

    filter: JobFilter
    reason: Reason = Field(examples=["The campaign was withdrawn."])
    limit: int = Field(default=10_000, ge=1, le=10_000, description="At most so many, the oldest first.")


class BulkDiscarded(StrictModel):
    """What was discarded now. `remaining`: how many the same call would still discard, counted up to
    10,000."""

    discarded: int = Field(examples=[120])
    remaining: int = Field(examples=[0])


class DryRun(StrictModel):
    """What a job would do, by what is known now. Each failure examined is counted once, in the order of these
    fields: what nobody can send (`unreadable`, or its notification is gone), what is over (`expired`), what
    still has another device in work or to be settled (`busy`), the recipient's own choice (`opted_out`); the
    rest `would_send`. Of that, `likely_duplicates` say the same to the same recipient as another of them, or
    as one of the same sender, of the hour before or since, that was sent, may have been or will be.

    At most 10,000 are examined, the oldest first; `matching` counts all."""

    dry_run: bool = True
    matching: int
    examined: int
    unreadable: int
    expired: int
    busy: int
    opted_out: int | None = Field(description="null where the user service could not be asked.")
    would_send: int
    likely_duplicates: int


class JobStatus(StrEnum):
    """`stopped`: by itself, since its first batch failed again; it can be resumed, and begins with a small
    batch anew."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


class JobPhase(StrEnum):
    """`first_batch`: a few are sent and waited for; `rest`: all others."""

    FIRST_BATCH = "first_batch"
    REST = "rest"


class ReprocessJob(StrictModel):
    """A job. `released`: sent again so far; `skipped`: left as they are (expired, busy, unreadable, taken by
    somebody else, or likely duplicates). Of what was released, `sent` has arrived at its provider by now,
    `failed_again` failed, `other` ended otherwise (suppressed, expired, unknown), `in_flight` has not
    ended."""

    id: UUID
    status: JobStatus
    phase: JobPhase
    reason: str | None = Field(description="Why it was stopped.")
    filter: FailureFilter
    limit: int | None
    per_second: float
    skip_likely_duplicates: bool
    total: int = Field(description="How many there were when it was started.")
    released: int
    skipped: int
    sent: int
    failed_again: int
    other: int
    in_flight: int
    created_by: str = Field(examples=["account 0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d"])
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
