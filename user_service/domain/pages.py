"""Where a page of a list ends."""

from collections.abc import Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from shared.contracts.http.base import encode_cursor


class Identified(Protocol):
    """A row of a list, which is in order of ids."""

    @property
    def id(self) -> UUID:
        """Its id, a UUIDv7."""


RowT = TypeVar("RowT", bound=Identified)


def cut(rows: Sequence[RowT], limit: int) -> tuple[Sequence[RowT], str | None]:
    """The page, and the cursor of the next one. `rows` is one more than `limit` where there is a next."""
    page = rows[:limit]
    return page, encode_cursor(page[-1].id) if len(rows) > limit else None
