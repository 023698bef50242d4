"""A notification as it is stored."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from pydantic import JsonValue

from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import InlineMessage
from shared.contracts.http.notification_answers import NotificationStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Notification:
    """What a sender asked for, as far as it never changes once it is stored, and how it began.

    `address` is in the form of the channel. `due_at` is when it is to be released. Exactly one of
    `user_id` and `address` is set, and one of `template_code` and `content`. `excluded_targets` took an
    earlier run, or may have.
    """

    id: UUID
    owner: UUID
    user_id: UUID | None
    external_id: str | None
    address: str | None
    channel: Channel
    template_code: str | None
    template_version: int | None
    language: str | None
    variables: dict[str, JsonValue]
    content: InlineMessage | None
    priority: int
    lane: Lane
    category: str
    metadata: dict[str, str | bool | int | float | None]
    status: NotificationStatus
    run: int
    scheduled_at: datetime | None
    expires_at: datetime | None
    due_at: datetime
    test: bool
    batch_id: UUID | None
    event_id: str | None
    correlation_id: str
    created_at: datetime
    excluded_targets: tuple[str, ...] = ()


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """When a notification came into a status, as it stands in the column `timeline`."""

    status: NotificationStatus
    at: datetime
    detail: str | None = None
