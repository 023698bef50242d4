"""The channels, and the content each of them carries.

A channel is one member here, one content type, and one service folder with a `channel.py`;
`tests/architecture` fails until they agree.
"""

from enum import StrEnum

import msgspec


class Channel(StrEnum):
    """A way to reach a person; `notification_type` in the public API."""

    EMAIL = "email"
    PUSH = "push"


class Lane(StrEnum):
    """A queue of its own within a channel, so that bulk never delays what is urgent."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"


class EmailContent(msgspec.Struct, frozen=True, kw_only=True):
    """A rendered mail: both parts are always there."""

    subject: str
    html: str
    text: str


class PushContent(msgspec.Struct, frozen=True, kw_only=True):
    """A rendered push notification: plain text only."""

    title: str
    body: str


class ContentFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What a template of the channel may hold.

    `body_is_html`: values put into the body are HTML-escaped. `subject_required`: a template or
    inline content without a subject is refused. `recipient_field`: the field of a `Recipient` that holds
    the address or addresses; where it is empty, the person cannot be reached.
    """

    content: type[msgspec.Struct]
    body_is_html: bool
    subject_required: bool
    recipient_field: str


CONTENT_FORMATS: dict[Channel, ContentFormat] = {
    Channel.EMAIL: ContentFormat(
        content=EmailContent, body_is_html=True, subject_required=True, recipient_field="email"
    ),
    Channel.PUSH: ContentFormat(
        content=PushContent, body_is_html=False, subject_required=True, recipient_field="devices"
    ),
}
