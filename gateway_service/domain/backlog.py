"""What is far behind already takes nothing new: a lane of a channel is full where much of it is overdue.

How long that is, is each lane's own: bulk is refused first, urgent last. So a channel whose provider is away
for hours keeps room for what is urgent, and what was accepted is never older than can be told.
"""

from collections.abc import Collection
from datetime import timedelta

import structlog

from gateway_service.domain.acceptance import lane_of
from gateway_service.domain.refusals import BacklogFull
from shared.contracts.channels import Channel, Lane
from shared.contracts.http.notifications import NotificationRequest
from shared.process.clock import Clock
from shared.process.metrics import gauge

log = structlog.get_logger()

ChannelLane = tuple[Channel, Lane]

STRAGGLERS = 100
"""So many may be older: long retries, a provider's own limits, one device that is never there."""
_SOON = timedelta(minutes=1)

_full_lanes = gauge("backlog_full", "1 where a lane takes nothing new", ("channel", "lane"))


class Backlog:
    """Which lanes are full, as it was found last; none before anybody looked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._full: frozenset[ChannelLane] = frozenset()

    def note(self, full: Collection[ChannelLane]) -> None:
        """These are full, and no others."""
        before, self._full = self._full, frozenset(full)
        for channel in Channel:
            for lane in Lane:
                _full_lanes.labels(channel.value, lane.value).set((channel, lane) in self._full)
        for channel, lane in sorted(self._full - before):
            log.warning("backlog.full", channel=channel.value, lane=lane.value)
        for channel, lane in sorted(before - self._full):
            log.info("backlog.free", channel=channel.value, lane=lane.value)

    def refusal(self, request: NotificationRequest, *, in_batch: bool) -> BacklogFull | None:
        """Why it is not taken now; None where it is. What is scheduled for later than the next minute is:
        by then today's backlog may be gone, and it has no say in whether it will be."""
        if not self._full:
            return None
        lane = lane_of(request, in_batch=in_batch)
        if (request.notification_type, lane) not in self._full:
            return None
        if request.scheduled_at is not None and request.scheduled_at > self._clock.now() + _SOON:
            return None
        return BacklogFull(
            f"Too much that was accepted before it waits in the {lane.value} lane of "
            f"{request.notification_type.value}. Nothing was stored; ask again later"
        )
