"""Everything that has to be known before a provider is called: who, where, what, and whether it is wanted."""

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

import structlog

from shared.clients.peer import PeerError
from shared.clients.users import FoundRecipient
from shared.contracts.delivery import (
    DeliveryRequested,
    DeliveryState,
    InlineMessage,
    Problem,
    TemplateMessage,
)
from shared.contracts.recipients import Address, Recipient
from shared.contracts.templates import TemplateVersion
from shared.delivery.consent import Defer, Deliver, Suppress, decide
from shared.delivery.provider import ChannelAdapter, RenderedMessage, Target
from shared.delivery.rendering import Renderer, RenderError
from shared.process.clock import Clock

log = structlog.get_logger()
ContentT = TypeVar("ContentT")

FRESH_FOR_S = 0.8
"""The greatest age, in seconds, of what is known of a recipient's wishes when an attempt is claimed: the
claim takes a moment, and when the provider is called it must be a second at most."""
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0


class RecipientSource(Protocol):
    """Recipients as they are now: never cached."""

    async def by_id(self, user_id: UUID) -> FoundRecipient:
        """Raises PeerError."""

    async def by_address(self, address: Address) -> FoundRecipient:
        """The person an address belongs to. Raises PeerError."""


class TemplateSource(Protocol):
    """Template versions; a version is immutable and may be cached."""

    async def version(self, code: str, version: int) -> TemplateVersion | None:
        """A certain version. Raises PeerError."""

    async def released(self, code: str, language: str | None) -> TemplateVersion | None:
        """The published one for a language. Raises PeerError."""


@dataclass(frozen=True, kw_only=True)
class Prepared(Generic[ContentT]):
    """Ready to be sent; `asked_at` is the age of the recipient's wishes, on the monotonic clock."""

    targets: tuple[Target, ...]
    content: ContentT
    asked_at: float

    @property
    def is_fresh(self) -> bool:
        """Whether the wishes are young enough to act on."""
        return time.monotonic() - self.asked_at <= FRESH_FOR_S


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Not to be sent."""

    state: DeliveryState
    problem: Problem
    deferred_until: datetime | None = None


class Preparation(Generic[ContentT]):
    """Prepares requests. While the user or the template service is away it waits: nothing is sent on stale
    consent, and no attempt is spent."""

    def __init__(
        self,
        *,
        adapter: ChannelAdapter[ContentT],
        recipients: RecipientSource,
        templates: TemplateSource,
        renderer: Renderer,
        clock: Clock,
    ) -> None:
        self._adapter = adapter
        self._recipients = recipients
        self._templates = templates
        self._renderer = renderer
        self._clock = clock

    async def prepare(
        self, request: DeliveryRequested, *, wait_s: float
    ) -> Prepared[ContentT] | Ended | None:
        """What is to be sent and to where, or why nothing is; None if nobody could be asked in `wait_s`."""
        pause_s = FIRST_PAUSE_S
        give_up_at = time.monotonic() + wait_s
        while True:
            if self.has_expired(request):
                return _ended(DeliveryState.EXPIRED, "notification.expired", "It expired before it was sent.")
            try:
                return await self._prepare(request)
            except PeerError as error:
                log.warning("delivery.waits_for_peer", peer=error.service, pause_s=pause_s)
            if time.monotonic() >= give_up_at:
                return None
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def has_expired(self, request: DeliveryRequested) -> bool:
        """Whether it must no longer be sent."""
        return request.expires_at is not None and request.expires_at <= self._clock.now()

    async def _prepare(self, request: DeliveryRequested) -> Prepared[ContentT] | Ended:
        found = await self._find(request)
        recipient = found.recipient
        if request.user_id is not None and recipient is None:
            return _ended(DeliveryState.FAILED, "recipient.unknown", "There is no such recipient.")
        channel = request.channel
        if recipient is not None:
            decision = decide(recipient, channel=channel, category=request.category, now=self._clock.now())
            match decision:
                case Suppress(problem=problem):
                    return Ended(state=DeliveryState.SUPPRESSED, problem=problem)
                case Defer(until=until, problem=problem):
                    return Ended(state=DeliveryState.DEFERRED, problem=problem, deferred_until=until)
                case Deliver():
                    pass
        known = self._adapter.targets(request, recipient)
        targets = tuple(target for target in known if target.id not in request.except_targets)
        if known and not targets:
            return _ended(
                DeliveryState.FAILED,
                "recipient.nobody_left",
                "Every address or device of the recipient was reached, or may have been, by an earlier run.",
            )
        if not targets:
            return _ended(
                DeliveryState.FAILED,
                "recipient.no_address",
                f"The recipient has no address for {channel.value}.",
            )
        rendered = await self._render(request, recipient)
        if isinstance(rendered, Ended):
            return rendered
        try:
            content = self._adapter.content(rendered)
        except ValueError as error:
            return _ended(DeliveryState.FAILED, "content.invalid", str(error))
        return Prepared(targets=targets, content=content, asked_at=found.asked_at)

    async def _find(self, request: DeliveryRequested) -> FoundRecipient:
        if request.user_id is not None:
            return await self._recipients.by_id(request.user_id)
        if request.address is not None:
            return await self._recipients.by_address(Address(channel=request.channel, value=request.address))
        return FoundRecipient(recipient=None, asked_at=time.monotonic())

    async def _render(
        self, request: DeliveryRequested, recipient: Recipient | None
    ) -> RenderedMessage | Ended:
        match request.message:
            case InlineMessage(subject=subject, body=body):
                return RenderedMessage(subject=subject, body=body, text_body=None)
            case TemplateMessage() as message:
                template = await self._template(message, recipient)
                if template is None:
                    return _ended(
                        DeliveryState.FAILED, "template.unknown", "There is no such published template."
                    )
                if template.channel is not request.channel:
                    return _ended(
                        DeliveryState.FAILED,
                        "template.wrong_type",
                        f"The template is for {template.channel.value}, not for {request.channel.value}.",
                    )
                try:
                    return self._renderer.render(template, message.variables)
                except RenderError as error:
                    return _ended(DeliveryState.FAILED, error.kind, error.message)

    async def _template(
        self, message: TemplateMessage, recipient: Recipient | None
    ) -> TemplateVersion | None:
        if message.version is not None:
            return await self._templates.version(message.code, message.version)
        language = message.language or (recipient.language if recipient is not None else None)
        return await self._templates.released(message.code, language)


def _ended(state: DeliveryState, kind: str, message: str) -> Ended:
    return Ended(state=state, problem=Problem(kind=kind, message=message))
