"""Recipients, their preferences and their devices."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StrictBool, StringConstraints, model_validator

from shared.contracts.http.auth import NewPassword, Role
from shared.contracts.http.base import (
    ChangeModel,
    EmailAddress,
    LanguageTag,
    Name,
    Page,
    PageQuery,
    PhoneNumber,
    StrictModel,
    TimeZone,
    bounded,
)
from shared.contracts.http.web_push import PushSubscription, Subscription

SlackId = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,32}$"), Field(examples=["U02ABCDEF"])]
ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=255), Field(examples=["customer-123"])]
"""The sender's own id of the person; unique."""


class NewUser(StrictModel):
    """POST /users. With a `password` the person can log in, and `email` is needed."""

    name: Name = Field(examples=["Ann"])
    email: EmailAddress | None = None
    phone: PhoneNumber | None = None
    slack_id: SlackId | None = None
    external_id: ExternalId | None = None
    language: LanguageTag | None = None
    timezone: TimeZone = "UTC"
    password: NewPassword | None = None

    @model_validator(mode="after")
    def _refuse_password_without_email(self) -> Self:
        if self.password is not None and self.email is None:
            raise ValueError("a password needs an email to log in with")
        return self


class UserChange(ChangeModel):
    """PATCH /users/{id}: what is given changes, null clears, what is not given stays.

    `external_id` takes the scope `users:write`, since senders address people by it.
    """

    name: Name = ""
    email: EmailAddress | None = None
    phone: PhoneNumber | None = None
    slack_id: SlackId | None = None
    external_id: ExternalId | None = None
    language: LanguageTag | None = None
    timezone: TimeZone = "UTC"


class User(StrictModel):
    """A recipient; one with a login is an account."""

    id: UUID
    name: str = Field(examples=["Ann"])
    email: str | None = Field(examples=["ann@example.com"])
    email_verified: bool = Field(description="Whether the person has proven that the address is theirs.")
    phone: str | None
    slack_id: str | None
    external_id: str | None
    language: str | None
    timezone: str = Field(examples=["Europe/Paris"])
    role: Role
    created_at: datetime
    updated_at: datetime


UserPage = Page[User]


class UserFilter(PageQuery):
    """GET /users."""

    email: str | None = Field(default=None, max_length=320, description="Exactly this, in any case.")
    external_id: str | None = Field(default=None, max_length=255, description="Exactly this.")


ChannelName = Literal["email", "push", "sms", "whatsapp", "slack", "inbox"]
Category = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
LocalTime = Annotated[
    str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$"), Field(examples=["22:00"])
]


class QuietHoursBody(StrictModel):
    """From `start` to `end` in the person's time zone; `end` before `start` runs over midnight."""

    start: LocalTime
    end: LocalTime

    @model_validator(mode="after")
    def _refuse_empty(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end are the same time")
        return self


class Preferences(StrictModel):
    """GET and PUT /users/{id}/preferences. PUT replaces all: what is not given takes its default.

    `categories`: a choice by category and channel, which goes before the channel's switch.
    """

    email_enabled: StrictBool = True
    push_enabled: StrictBool = True
    sms_enabled: StrictBool = True
    whatsapp_enabled: StrictBool = True
    slack_enabled: StrictBool = True
    inbox_enabled: StrictBool = True
    categories: Annotated[dict[Category, dict[ChannelName, StrictBool]], bounded(100, 20)] = Field(
        default_factory=dict, max_length=100, examples=[{"promotional": {"email": False}}]
    )
    quiet_hours: QuietHoursBody | None = None
    timezone: TimeZone = "UTC"
    language: LanguageTag | None = None


class PreferencesChange(ChangeModel):
    """PATCH /users/{id}/preferences, as a merge patch (RFC 7396): null in `categories` removes a choice."""

    email_enabled: StrictBool = True
    push_enabled: StrictBool = True
    sms_enabled: StrictBool = True
    whatsapp_enabled: StrictBool = True
    slack_enabled: StrictBool = True
    inbox_enabled: StrictBool = True
    categories: Annotated[dict[Category, dict[ChannelName, StrictBool | None] | None], bounded(100, 20)] = (
        Field(default_factory=dict, max_length=100, examples=[{"promotional": {"email": False}}])
    )
    quiet_hours: QuietHoursBody | None = None
    timezone: TimeZone = "UTC"
    language: LanguageTag | None = None


Platform = Literal["android", "ios", "web"]


class NewDevice(StrictModel):
    """POST /users/{id}/devices: `token` for android and ios, `subscription` for web.

    A device that is known already is answered again, and moves here from whoever had it before.
    """

    platform: Platform
    token: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,4096}$")] | None = Field(
        default=None, examples=["fXk3:APA91bH"]
    )
    subscription: PushSubscription | None = None

    @model_validator(mode="after")
    def _match_platform(self) -> Self:
        if (self.token is None) == (self.subscription is None):
            raise ValueError("give either a token or a subscription")
        if self.subscription is not None and self.platform != "web":
            raise ValueError("a subscription is for the platform web alone")
        return self


class Device(StrictModel):
    """A device of a user."""

    id: UUID
    platform: Platform
    token: str | None = Field(examples=["fXk3:APA91bH"])
    subscription: Subscription | None = Field(examples=[None])
    created_at: datetime


DevicePage = Page[Device]
