"""Recipients and their preferences, as the workers and the gateway look them up (`/internal/v1`)."""

from uuid import UUID

import msgspec

from shared.contracts.channels import Channel


class DeviceTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One device of a recipient; `platform`: android, ios or web."""

    id: UUID
    platform: str
    token: str | None
    subscription: dict[str, object] | None = None


class QuietHours(msgspec.Struct, frozen=True, kw_only=True):
    """Local times `HH:MM` in the recipient's time zone; `end` before `start` runs over midnight."""

    start: str
    end: str


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """A person who gets notifications.

    `enabled`: per channel; a channel that is not named is on. `categories`: a choice by category and
    channel, which goes before `enabled`.
    """

    id: UUID
    name: str
    email: str | None
    phone: str | None
    slack_id: str | None
    language: str | None
    timezone: str
    enabled: dict[str, bool]
    categories: dict[str, dict[str, bool]]
    quiet_hours: QuietHours | None
    devices: tuple[DeviceTarget, ...]


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address in the form of its channel."""

    channel: Channel
    value: str


class RecipientQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """POST /internal/v1/recipients/lookup: at most 1,000 in all.

    `addresses` asks for the person an address belongs to, so that their wishes hold for it."""

    ids: tuple[UUID, ...] = ()
    external_ids: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()


class RecipientAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known; who or what is not named in it is unknown."""

    by_id: dict[str, Recipient] = {}
    by_external_id: dict[str, Recipient] = {}
    by_address: dict[str, Recipient] = {}
    """Keyed `channel:value`, as asked."""


class ApiKeyQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """POST /internal/v1/api-keys/verify: SHA-256 of the whole secret, in hex."""

    digest: str


class ApiKeyPrincipal(msgspec.Struct, frozen=True, kw_only=True):
    """Whose the key is and what it may do; the answer is 404 where there is no such key."""

    key_id: UUID
    owner: UUID
    kind: str
    scopes: tuple[str, ...]
