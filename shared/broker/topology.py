"""The names of everything in the broker; nothing else spells a queue's name.

One direct exchange carries the work; every queue is bound to it by its own name. Lanes are queues. What
is to come back later waits in a delay queue behind an exchange of the same name.
"""

from shared.contracts.channels import Channel, Lane

EXCHANGE = "notifications.direct"
BROADCAST_EXCHANGE = "carillon.broadcast"
FAILED_QUEUE = "failed.queue"
REPORTS_QUEUE = "reports.queue"
SENTINEL_QUEUE = "carillon.sentinel"
SENTINEL_WRITER_QUEUE = "carillon.sentinel.writer"
RETRY_DELAYS_S = {1: 1, 2: 2, 3: 4}
"""Seconds by step; the delay queues are `retry.1s`, `retry.2s`, `retry.4s`."""


def lane_queue(channel: Channel, lane: Lane) -> str:
    """`email.urgent.queue`, `email.queue`, `email.bulk.queue`."""
    if lane is Lane.NORMAL:
        return f"{channel.value}.queue"
    return f"{channel.value}.{lane.value}.queue"


def retry_queue(step: int) -> str:
    """The delay queue of a step, and the exchange in front of it."""
    return f"retry.{RETRY_DELAYS_S[step]}s"


LANE_QUEUES = tuple(lane_queue(channel, lane) for channel in Channel for lane in Lane)
WORK_QUEUES = (*LANE_QUEUES, REPORTS_QUEUE, FAILED_QUEUE)
"""Every queue that is consumed, and every route that a message can take."""
