"""Public bodies of the notification routes: what a sender asks for."""

import re
from datetime import UTC, datetime
from typing import Annotated, Self
from uuid import UUID

import msgspec
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SkipValidation,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared.contracts.channels import CONTENT_FORMATS, Channel
from shared.contracts.http.base import EmailAddress, LanguageTag, StrictModel
from shared.contracts.http.one_line import one_line

MAX_VARIABLES_BYTES = 64 * 1024
MAX_NESTING = 32
MAX_BATCH = 1000
MAX_METADATA = 50
MAX_METADATA_NAME = 64
MAX_METADATA_TEXT = 500
KEY_PATTERN = re.compile(r"[\x21-\x7e]{1,255}")
"""An idempotency key: visible ASCII, at most 255 characters."""


_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _timestamp_text(value: object) -> object:
    """Pydantic alone would take numbers, a space for the T, and times without seconds or offset."""
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC_3339.fullmatch(value)):
        return value
    raise PydanticCustomError("timestamp", "A time is text in RFC 3339, such as 2030-01-31T08:00:00Z")


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("timestamp", "This time lies outside the years 1 to 9999") from error


Timestamp = Annotated[AwareDatetime, BeforeValidator(_timestamp_text), AfterValidator(_in_utc)]
"""RFC 3339 with an offset; kept in UTC."""


def _check_number(number: float) -> None:
    """jsonb gives a float without a fraction back as an integer, so one range holds for both; neither NaN
    nor infinity lies in it."""
    if not -(2**63) <= number < 2**63:
        raise PydanticCustomError("number_too_large", "Send a number this large as text")


def check_nested(values: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Only what JSON carries unchanged through every process. Raises a pydantic error."""
    layer: list[JsonValue] = list(values.values())
    depth = 1
    while layer:
        depth += 1
        if depth > MAX_NESTING:
            raise PydanticCustomError("too_deep", f"Nested deeper than {MAX_NESTING} levels")
        below: list[JsonValue] = []
        for value in layer:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, int | float):
                _check_number(value)
        layer = below
    return values


def _small(variables: object) -> object:
    """The cheapest check comes before those that look at each value."""
    try:
        size = len(msgspec.json.encode(variables))
    except RecursionError as error:
        raise PydanticCustomError("too_deep", f"Nested deeper than {MAX_NESTING} levels") from error
    if size > MAX_VARIABLES_BYTES:
        raise PydanticCustomError("too_large", f"More than {MAX_VARIABLES_BYTES} bytes as JSON")
    return variables


def _flat(metadata: object) -> object:
    """All of it in one check that stops at the first fault: pydantic itself would write an error for every
    type that each value is not."""
    if not isinstance(metadata, dict):
        raise PydanticCustomError("metadata", "Metadata is an object")
    if len(metadata) > MAX_METADATA:
        raise PydanticCustomError("metadata", f"At most {MAX_METADATA} names")
    for name, value in metadata.items():
        if not isinstance(name, str) or not 0 < len(name) <= MAX_METADATA_NAME:
            raise PydanticCustomError("metadata", f"A name has 1 to {MAX_METADATA_NAME} characters")
        if isinstance(value, str):
            if len(value) > MAX_METADATA_TEXT:
                raise PydanticCustomError("metadata", f"A text has at most {MAX_METADATA_TEXT} characters")
        elif isinstance(value, int | float):
            _check_number(value)
        elif value is not None:
            raise PydanticCustomError("metadata", "A value is text, a number, true, false or null")
    return metadata


Variables = Annotated[
    dict[str, JsonValue], Field(max_length=500), BeforeValidator(_small), AfterValidator(check_nested)
]
MetadataName = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": MAX_METADATA_NAME})]
MetadataText = Annotated[str, Field(json_schema_extra={"maxLength": MAX_METADATA_TEXT})]
StoredMetadata = dict[str, str | bool | int | float | None]
Metadata = Annotated[
    dict[MetadataName, MetadataText | bool | int | float | None],
    BeforeValidator(_flat),
    Field(json_schema_extra={"maxProperties": MAX_METADATA}),
]
IdempotencyKey = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")]
Category = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
TemplateCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]


class DirectAddress(StrictModel):
    """An address in the form of its channel, one field for each channel, of which one is given."""

    email: EmailAddress | None = None
    push: Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^\S+$")] | None = Field(
        default=None, description="The token of a device."
    )

    def of(self, channel: Channel) -> str | None:
        """The address for `channel`, where it is the one that is given."""
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if given != [channel.value]:
            return None
        address = getattr(self, channel.value)
        return address if isinstance(address, str) else None


class InlineContent(StrictModel):
    """What to say word for word; it is not rendered as a template."""

    subject: Annotated[str, Field(min_length=1, max_length=998), AfterValidator(one_line)] | None = None
    body: str = Field(min_length=1, max_length=256 * 1024)


class NotificationRequest(StrictModel):
    """POST /notifications. One of `user_id`, `external_id` and `to`; one of `template_code` and `content`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d",
                    "notification_type": "email",
                    "template_code": "order_shipped",
                    "variables": {"name": "Ann"},
                    "priority": 5,
                    "category": "transactional",
                    "metadata": {"order": "123"},
                }
            ]
        }
    )

    notification_type: Channel
    user_id: UUID | None = Field(default=None, description="The recipient.")
    external_id: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None, description="The sender's own id of the recipient."
    )
    to: DirectAddress | None = Field(
        default=None, description="An address; the wishes of the person it belongs to hold."
    )
    template_code: TemplateCode | None = Field(default=None, examples=["order_shipped"])
    content: InlineContent | None = None
    variables: Variables = Field(default={}, description="For the template; at most 64 KiB.")
    language: LanguageTag | None = Field(
        default=None, description="The recipient's own language, else the default, where none is given."
    )
    priority: int = Field(
        default=5, ge=1, le=10, strict=True, description="1 is lowest; 8 and above is urgent."
    )
    category: Category = Field(default="transactional", examples=["security", "transactional", "promotional"])
    scheduled_at: Timestamp | None = Field(
        default=None, description="Not before this time; at most a year ahead. In the past: now."
    )
    expires_at: Timestamp | None = Field(default=None, description="Never after this time.")
    metadata: Metadata = Field(default={}, description="Given back as it came, never sent.")
    idempotency_key: IdempotencyKey | None = Field(
        default=None, description="The same as the header Idempotency-Key."
    )

    @model_validator(mode="after")
    def _one_recipient_and_one_message(self) -> Self:
        if sum(given is not None for given in (self.user_id, self.external_id, self.to)) != 1:
            raise PydanticCustomError("recipient", "Give exactly one of user_id, external_id and to")
        if self.to is not None and self.to.of(self.notification_type) is None:
            raise PydanticCustomError(
                "address",
                "`to` holds exactly one address, named {channel} as the notification_type is",
                {"channel": self.notification_type.value},
            )
        if (self.template_code is None) == (self.content is None):
            raise PydanticCustomError("message", "Give exactly one of template_code and content")
        if self.content is not None:
            if self.variables:
                raise PydanticCustomError("message", "`variables` belong to a template, not to `content`")
            if CONTENT_FORMATS[self.notification_type].subject_required and self.content.subject is None:
                raise PydanticCustomError("message", "`content` needs a subject for this notification_type")
        if (
            self.expires_at is not None
            and self.scheduled_at is not None
            and self.expires_at <= self.scheduled_at
        ):
            raise PydanticCustomError("expiry", "`expires_at` must lie after `scheduled_at`")
        return self


class BatchRequest(BaseModel):
    """POST /notifications/batch. Entries are checked one by one: a bad one does not sink the others, and
    so this is no StrictModel, which would refuse the whole for a NUL in one entry."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    notifications: list[SkipValidation[NotificationRequest]] = Field(min_length=1, max_length=MAX_BATCH)
