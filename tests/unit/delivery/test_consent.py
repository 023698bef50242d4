"""Whether a recipient wants a message now."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.contracts.channels import Channel
from shared.contracts.recipients import QuietHours, Recipient
from shared.delivery.consent import Defer, Deliver, Suppress, decide, quiet_until

NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def recipient(
    *,
    enabled: dict[str, bool] | None = None,
    categories: dict[str, dict[str, bool]] | None = None,
    quiet_hours: QuietHours | None = None,
    timezone: str = "UTC",
) -> Recipient:
    return Recipient(
        id=UUID(int=1),
        name="Ann",
        email="ann@example.com",
        phone=None,
        slack_id=None,
        language=None,
        timezone=timezone,
        enabled=enabled or {},
        categories=categories or {},
        quiet_hours=quiet_hours,
        devices=(),
    )


@pytest.mark.parametrize(
    ("enabled", "categories", "category", "wanted"),
    [
        ({}, {}, "transactional", True),
        ({"email": False}, {}, "transactional", False),
        ({"push": False}, {}, "transactional", True),
        ({}, {"promotional": {"email": False}}, "promotional", False),
        ({}, {"promotional": {"email": False}}, "transactional", True),
        ({"email": False}, {"security": {"email": True}}, "security", True),
    ],
)
def test_a_choice_by_category_goes_before_the_one_for_the_channel(
    enabled: dict[str, bool], categories: dict[str, dict[str, bool]], category: str, wanted: bool
) -> None:
    person = recipient(enabled=enabled, categories=categories)

    decision = decide(person, channel=Channel.EMAIL, category=category, now=NOON)

    assert isinstance(decision, Deliver if wanted else Suppress)


def test_quiet_hours_defer_to_their_end_but_not_what_concerns_security() -> None:
    person = recipient(quiet_hours=QuietHours(start="11:00", end="13:00"))

    promotional = decide(person, channel=Channel.EMAIL, category="promotional", now=NOON)
    security = decide(person, channel=Channel.EMAIL, category="security", now=NOON)

    assert isinstance(promotional, Defer)
    assert promotional.until == datetime(2026, 7, 1, 13, 0, tzinfo=UTC)
    assert isinstance(security, Deliver)


NIGHT = QuietHours(start="22:00", end="07:00")


@pytest.mark.parametrize(
    ("quiet_hours", "timezone", "now", "until"),
    [
        (NIGHT, "UTC", "2026-01-01T23:00Z", "2026-01-02T07:00Z"),
        (NIGHT, "UTC", "2026-01-02T06:00Z", "2026-01-02T07:00Z"),
        (NIGHT, "UTC", "2026-01-02T07:00Z", None),
        (NIGHT, "Asia/Tokyo", "2026-01-01T14:00Z", "2026-01-01T22:00Z"),
        (NIGHT, "Mars/Olympus", "2026-01-01T23:00Z", "2026-01-02T07:00Z"),
        # The night the clocks go forward in Berlin: 07:00 is an hour nearer.
        (NIGHT, "Europe/Berlin", "2026-03-28T22:00Z", "2026-03-29T05:00Z"),
        (QuietHours(start="09:00", end="09:00"), "UTC", "2026-01-01T09:00Z", None),
        (QuietHours(start="12:00", end="14:00"), "UTC", "2026-01-01T11:59Z", None),
    ],
)
def test_quiet_hours_end_in_the_recipients_own_time(
    quiet_hours: QuietHours, timezone: str, now: str, until: str | None
) -> None:
    found = quiet_until(quiet_hours, timezone=timezone, now=datetime.fromisoformat(now))

    assert found == (None if until is None else datetime.fromisoformat(until))
