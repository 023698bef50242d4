"""Time, passed in, so that tests need not wait for it."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the time of day comes from."""

    def now(self) -> datetime:
        """The present, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        return datetime.now(UTC)
