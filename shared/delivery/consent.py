"""Whether a recipient wants a message now: a pure decision."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.contracts.categories import policy_of
from shared.contracts.channels import Channel
from shared.contracts.delivery import Problem
from shared.contracts.recipients import QuietHours, Recipient


@dataclass(frozen=True, kw_only=True)
class Deliver:
    """Nothing stands against it."""


@dataclass(frozen=True, kw_only=True)
class Suppress:
    """The recipient's own choice."""

    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Defer:
    """Not before `until`."""

    until: datetime
    problem: Problem


Decision = Deliver | Suppress | Defer


def decide(recipient: Recipient, *, channel: Channel, category: str, now: datetime) -> Decision:
    """Opt-outs first, a choice by category before the one for the whole channel; then quiet hours."""
    by_category = recipient.categories.get(category, {}).get(channel.value)
    if by_category is False:
        return Suppress(
            problem=Problem(
                kind="recipient.opted_out",
                message=f"The recipient has switched {channel.value} off for {category} messages.",
            )
        )
    if by_category is None and not recipient.enabled.get(channel.value, True):
        return Suppress(
            problem=Problem(
                kind="recipient.opted_out", message=f"The recipient has switched {channel.value} off."
            )
        )
    if recipient.quiet_hours is not None and policy_of(category).deferrable:
        until = quiet_until(recipient.quiet_hours, timezone=recipient.timezone, now=now)
        if until is not None:
            return Defer(
                until=until,
                problem=Problem(
                    kind="recipient.quiet_hours", message="Held back by the recipient's quiet hours."
                ),
            )
    return Deliver()


def quiet_until(quiet_hours: QuietHours, *, timezone: str, now: datetime) -> datetime | None:
    """The end, in UTC, of the quiet hours that `now` lies in; None outside them.

    An unknown time zone counts as UTC. Equal start and end mean no quiet hours.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    start, end = time.fromisoformat(quiet_hours.start), time.fromisoformat(quiet_hours.end)
    local = now.astimezone(zone)
    clock = local.time()
    if start == end:
        return None
    if start < end:
        if not start <= clock < end:
            return None
        end_day = local.date()
    else:
        if end <= clock < start:
            return None
        end_day = local.date() if clock < end else local.date() + timedelta(days=1)
    return datetime.combine(end_day, end, tzinfo=zone).astimezone(UTC)
