"""Identifiers: UUIDv7 (RFC 9562), ordered by the time of their making."""

from uuid import UUID

from uuid_utils import compat


def uuid7() -> UUID:
    """A new identifier; later ones of this process sort after earlier ones."""
    return compat.uuid7()
