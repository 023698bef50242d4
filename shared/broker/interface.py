"""The one interface through which Carillon talks to its message broker.

Two transports implement it, `rabbitmq` and `postgres`; one behavioural suite
(tests/integration/broker) holds both to what is promised here.

    BrokerError
    ├── BrokerUnavailable
    └── NotRouted
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class BrokerError(Exception):
    """The root of what the broker can raise; raised itself where a message can never be taken."""


class BrokerUnavailable(BrokerError):
    """Not reachable, or did not answer in time. What was to be published may or may not be safe."""


class NotRouted(BrokerError):
    """No queue took the message: the topology is not there."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message to publish: to the queue named `route`, see topology.py. A body has at most 8 MiB.

    `headers` carries `correlation_id` and `notification_id` for people who look at the broker. Names that
    begin with `x-` belong to the broker and do not arrive.
    """

    route: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The result of publishing one message: `error` is None where the broker has it safely."""

    error: BrokerError | None = None


class Delivery(Protocol):
    """A message taken from a queue, to be finished by exactly one of `ack`, `retry_later` and `park`.

    All three are fenced: finishing a delivery whose connection or lease is gone does nothing, since the
    broker has given the message out again. None of them raises `BrokerUnavailable`: either it is done, or
    the message comes back. `ack` returns at once; `retry_later` and `park` wait, through an outage too,
    until the broker has what they ask for or has taken the message away.
    """

    @property
    def body(self) -> bytes:
        """The bytes as they were published."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers as they were published."""

    @property
    def queue(self) -> str:
        """The queue it was taken from."""

    @property
    def deliveries(self) -> int:
        """How often the broker has handed this message out since it was published or `retry_later` was
        called, this time included, as far as it knows."""

    async def ack(self) -> None:
        """Done: the broker forgets it."""

    async def retry_later(self, step: int) -> None:
        """Come back to the same queue after 1, 2 or 4 s (`step` 1, 2, 3), safely, and forget the original."""

    async def park(self, body: bytes) -> None:
        """Put `body` into failed.queue, safely, with the original's headers, and forget the original."""


class Consumer(Protocol):
    """Takes messages from one queue; iterate over it, in several tasks if need be. Ends when closed;
    survives a lost connection."""

    def __aiter__(self) -> AsyncIterator[Delivery]:
        """Deliveries as they come, at most `prefetch` unfinished at a time."""

    @property
    def alive(self) -> bool:
        """Whether the broker holds this consumer right now: what readiness is made of."""

    def pause(self) -> None:
        """Hand out no further message until `resume`; what is prefetched stays here."""

    def resume(self, *, at_most: int | None = None) -> None:
        """Hand out messages again; `at_most` so many, and then pause."""

    async def close(self) -> None:
        """Stop taking; what was handed out may still be finished; what was prefetched goes back."""


class Subscription(Protocol):
    """Broadcasts as they come; what is sent while the connection is down is missed."""

    def __aiter__(self) -> AsyncIterator[bytes | None]:
        """Bodies, and None whenever broadcasts may have been missed: once at the beginning, as soon as
        the subscription holds, then after each time without connection or when 1,000 were left unread."""

    async def close(self) -> None:
        """End the iteration."""


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """`depth`: messages that wait, neither in delivery nor due later; `oldest_age_s`: how long the first of
    them has been waiting, 0 where there is none, None where the transport cannot say; `consumers`: how many
    are on it."""

    depth: int
    oldest_age_s: float | None
    consumers: int


class Broker(Protocol):
    """A connection to the broker, kept up in the background."""

    async def start(self, *, wait_s: float | None) -> None:
        """Connect and declare the topology, in the background where the broker is away; waits for the
        first connection at most `wait_s` (None: not at all) and raises nothing when it does not come."""

    async def close(self) -> None:
        """Close consumers, subscriptions and connections. Returns within 5 s."""

    async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
        """Publish a batch; returns once each message is confirmed as safe or has failed, in order, within
        `publish_timeout_s` (10 s). Raises nothing: an absent broker is a Receipt with BrokerUnavailable."""

    def consume(self, queue: str, *, prefetch: int) -> Consumer:
        """A consumer of `queue` with at most `prefetch` messages unfinished."""

    async def broadcast(self, body: bytes) -> None:
        """To every process that subscribes now: UTF-8 text without NUL, at most 7,000 bytes. Raises
        BrokerUnavailable; ValueError for what is no such text."""

    def subscribe(self) -> Subscription:
        """Broadcasts from now on."""

    async def queue_state(self, queue: str) -> QueueState:
        """Raises BrokerUnavailable."""

    async def epoch(self) -> str | None:
        """The sentinel: a durable message with an epoch, written once; None where it is gone, that is,
        where the broker's data were wiped. For a moment after a node's start None may be given although it
        is there: write one then, and ask again, for the first that was written stays. Raises
        BrokerUnavailable."""

    async def write_epoch(self, epoch: str) -> None:
        """Write the sentinel where there is none; an existing one stays. Raises BrokerUnavailable."""

    async def ping(self) -> None:
        """Raises BrokerUnavailable where the broker does not answer within 2 s."""
