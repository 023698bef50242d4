"""Whether the broker holds the consumers that this process is to have, as a metric."""

from collections.abc import Callable
from enum import IntEnum

from shared.process.metrics import gauge

_presence = gauge(
    "broker_consumer",
    "This process's consumer of the queue: 0 the broker does not hold it, 1 it does, 2 let go on purpose",
    ("queue",),
)


class Presence(IntEnum):
    """What the metric says of one consumer."""

    MISSED = 0
    HELD = 1
    LET_GO = 2


def show_presence(queue: str, presence: Callable[[], Presence]) -> None:
    """From now on; `presence` is asked whenever somebody reads the metrics, so that it is never old."""
    _presence.labels(queue).set_function(presence)


def hide_presence(queue: str) -> None:
    """This process consumes it no more, and is not to be missed."""
    _presence.remove(queue)
