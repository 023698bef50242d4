"""What a channel gives the worker: how to find its targets, how to fill its content, and its providers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from shared.contracts.channels import Channel
from shared.contracts.delivery import DeliveryRequested
from shared.contracts.recipients import Recipient
from shared.delivery.outcomes import Outcome
from shared.delivery.recourse import Recourse


@dataclass(frozen=True, kw_only=True)
class Target:
    """One address or one device. `id` names it in ledger, reports and logs without disclosing it."""

    id: str
    address: str
    name: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RenderedMessage:
    """A template version or inline content after rendering, before the channel makes it its own."""

    subject: str | None
    body: str
    text_body: str | None


ContentT_co = TypeVar("ContentT_co", covariant=True)
ContentT_contra = TypeVar("ContentT_contra", contravariant=True)


@dataclass(frozen=True, kw_only=True)
class ProviderCall(Generic[ContentT_co]):
    """One message for one target. `message_id` is stable for notification, target and run, and so serves
    as Message-ID or idempotency key. `deadline` is on `time.monotonic()`'s clock, before the end of the
    lease: check it right before the body goes out, and send nothing after it."""

    notification_id: UUID
    run: int
    attempt: int
    message_id: str
    category: str
    target: Target
    content: ContentT_co
    created_at: datetime
    deadline: float
    correlation_id: str


class Provider(Protocol[ContentT_contra]):
    """A company, or a server, that takes messages of one channel."""

    @property
    def name(self) -> str:
        """As it stands in attempts, metrics and settings."""

    async def send(self, call: ProviderCall[ContentT_contra]) -> Outcome:
        """Hand the message over. Raises nothing but cancellation; answers within `timeout_s`."""

    @property
    def timeout_s(self) -> float:
        """The longest time `send` may take, in seconds."""

    @property
    def recourse(self) -> Recourse:
        """What can be done where nobody knows whether it took a message."""

    async def check(self) -> None:
        """For readiness: raises ConnectionError with a sentence where the provider cannot be reached."""

    async def close(self) -> None:
        """Close kept connections."""


class ChannelAdapter(Protocol[ContentT_co]):
    """What is particular to a channel; pure."""

    @property
    def channel(self) -> Channel:
        """Which one it is."""

    def targets(self, request: DeliveryRequested, recipient: Recipient | None) -> Sequence[Target]:
        """The addresses or devices to deliver to; empty where the recipient has none for the channel."""

    def content(self, rendered: RenderedMessage) -> ContentT_co:
        """The rendered message as the channel's content. Raises ValueError, with a sentence for people,
        where it does not make valid content (a subject with a line break, …)."""
