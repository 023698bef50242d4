"""A channel in a test's hands: a provider that answers as it was told, recipients and templates in memory.

They stand where other processes are; the ledger and the broker in these tests are real.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from shared.clients.peer import PeerUnavailable
from shared.clients.users import FoundRecipient
from shared.contracts.channels import Channel
from shared.contracts.delivery import DeliveryRequested
from shared.contracts.recipients import Address, Recipient
from shared.contracts.templates import TemplateVersion
from shared.delivery.outcomes import Accepted, Outcome
from shared.delivery.provider import ProviderCall, RenderedMessage, Target
from shared.delivery.recourse import NO_RECOURSE, Recourse

Answer = Outcome | Callable[[], Awaitable[Outcome]]


class ScriptedProvider:
    """Answers with the outcomes given, one a call, and takes everything once they are used up."""

    timeout_s = 5.0

    def __init__(self, *answers: Answer, name: str = "scripted", recourse: Recourse = NO_RECOURSE) -> None:
        self.name = name
        self.recourse = recourse
        self._answers = list(answers)
        self.calls: list[ProviderCall[str]] = []

    async def send(self, call: ProviderCall[str]) -> Outcome:
        """The next answer."""
        self.calls.append(call)
        if not self._answers:
            return Accepted(provider_message_id=f"id-{len(self.calls)}")
        answer = self._answers.pop(0)
        return await answer() if callable(answer) else answer

    async def check(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Nothing is kept."""


class PlainChannel:
    """One target for each device; the content is the body."""

    channel = Channel.PUSH

    def targets(self, request: DeliveryRequested, recipient: Recipient | None) -> Sequence[Target]:
        """The devices, or the address given."""
        if request.address is not None:
            return (Target(id="given", address=request.address),)
        devices = recipient.devices if recipient is not None else ()
        return tuple(Target(id=str(device.id), address=device.token or "") for device in devices)

    def content(self, rendered: RenderedMessage) -> str:
        """The body."""
        return rendered.body


class People:
    """Recipients that can be away, and counts how often it is asked."""

    def __init__(self, *recipients: Recipient) -> None:
        self.known: dict[UUID, Recipient] = {recipient.id: recipient for recipient in recipients}
        self.away = False
        self.asked = 0
        self.aged_by_s = 0.0

    async def by_id(self, user_id: UUID) -> FoundRecipient:
        """As told."""
        self.asked += 1
        if self.away:
            raise PeerUnavailable("user_service", "away")
        asked_at = time.monotonic() - self.aged_by_s
        self.aged_by_s = 0.0
        return FoundRecipient(recipient=self.known.get(user_id), asked_at=asked_at)

    async def by_address(self, address: Address) -> FoundRecipient:
        """Nobody."""
        self.asked += 1
        await asyncio.sleep(0)
        return FoundRecipient(recipient=None, asked_at=time.monotonic())


class Templates:
    """Versions of templates by code and number."""

    def __init__(self, *versions: TemplateVersion) -> None:
        self._versions = {(version.code, version.version): version for version in versions}

    async def version(self, code: str, version: int) -> TemplateVersion | None:
        """A certain one."""
        return self._versions.get((code, version))

    async def released(self, code: str, language: str | None) -> TemplateVersion | None:
        """The newest."""
        found = [version for (known, _), version in self._versions.items() if known == code]
        return max(found, key=lambda version: version.version, default=None)
