"""The hot look-up: recipients with preferences and devices, one statement for each way of asking.

Plain statements on asyncpg, since the workers ask for thousands a second.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID

from shared.contracts.channels import Channel
from shared.contracts.recipients import DeviceTarget, QuietHours, Recipient
from user_service.storage.users import email_key

_SELECT = """
    SELECT {key} AS key, u.id, u.name, u.email, u.phone, u.slack_id, u.language, u.timezone,
           p.enabled, p.categories, p.quiet_start, p.quiet_end,
           (SELECT jsonb_agg(jsonb_build_array(d.id, d.platform, d.token, d.subscription) ORDER BY d.id)
              FROM devices d WHERE d.user_id = u.id) AS devices
      FROM {source}
      LEFT JOIN preferences p ON p.user_id = u.id
     WHERE u.erased_at IS NULL AND {condition}
"""
_BY_ID = _SELECT.format(key="u.id", source="users u", condition="u.id = ANY($1::uuid[])")
_BY_EXTERNAL_ID = _SELECT.format(
    key="u.external_id", source="users u", condition="u.external_id = ANY($1::text[])"
)
_BY_EMAIL = _SELECT.format(
    # Several may have one address. A bare claim (`self`) never goes before a person the organisation
    # vouches for: else a stranger could register an address and switch its notifications off.
    key="u.email_key",
    source="""(
        SELECT DISTINCT ON (email_key) * FROM users
         WHERE email_key = ANY($1::text[]) AND erased_at IS NULL
         ORDER BY email_key, array_position(ARRAY['verified', 'organisation', 'self'], email_origin), id
    ) u""",
    condition="true",
)
_BY_DEVICE = _SELECT.format(
    key="known.digest",
    source="devices known JOIN users u ON u.id = known.user_id",
    condition="known.digest = ANY($1::bytea[])",
)


Row = Mapping[str, Any]
"""A row as asyncpg, which has no types, gives it: the migration says what is in it."""


class Connection(Protocol):
    """What is used of an asyncpg connection."""

    async def fetch(self, query: str, *args: object) -> Sequence[Row]:
        """All rows."""


async def by_id(connection: Connection, ids: Sequence[UUID]) -> dict[str, Recipient]:
    """Keyed by id."""
    rows = await connection.fetch(_BY_ID, ids)
    return {str(row["key"]): _recipient(row) for row in rows}


async def by_external_id(connection: Connection, external_ids: Sequence[str]) -> dict[str, Recipient]:
    """Keyed by external id."""
    rows = await connection.fetch(_BY_EXTERNAL_ID, external_ids)
    return {str(row["key"]): _recipient(row) for row in rows}


async def by_address(
    connection: Connection, channel: Channel, addresses: Iterable[str]
) -> dict[str, Recipient]:
    """Keyed by the address as asked; nobody is found for a channel whose addresses are not kept here."""
    way = _WAYS.get(channel)
    if way is None:
        return {}
    statement, key_of = way
    keys = {address: key_of(address) for address in addresses}
    rows = await connection.fetch(statement, list(set(keys.values())))
    found = {row["key"]: _recipient(row) for row in rows}
    return {address: found[key] for address, key in keys.items() if key in found}


def device_digest(token: str) -> bytes:
    """What a device is known by: of its token, or of its subscription's endpoint."""
    return sha256(token.encode()).digest()


_WAYS: dict[Channel, tuple[str, Callable[[str], str | bytes]]] = {
    Channel.EMAIL: (_BY_EMAIL, email_key),
    Channel.PUSH: (_BY_DEVICE, device_digest),
}


def _recipient(row: Row) -> Recipient:
    quiet = None
    if row["quiet_start"] is not None:
        quiet = QuietHours(start=row["quiet_start"], end=row["quiet_end"])
    return Recipient(
        id=row["id"],
        name=row["name"],
        email=row["email"],
        phone=row["phone"],
        slack_id=row["slack_id"],
        language=row["language"],
        timezone=row["timezone"],
        enabled=row["enabled"] or {},
        categories=row["categories"] or {},
        quiet_hours=quiet,
        devices=tuple(
            DeviceTarget(id=UUID(id_), platform=platform, token=token, subscription=subscription)
            for id_, platform, token, subscription in row["devices"] or ()
        ),
    )
