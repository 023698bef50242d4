"""The recipients of a batch, looked up in one question."""

import time
from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from shared.clients.peer import PeerError, PeerUnavailable
from shared.clients.users import SERVICE, FoundRecipient
from shared.contracts.http.notifications import NotificationRequest
from shared.contracts.recipients import Address, Recipient, RecipientAnswer, RecipientQuestion

LOOKUP_TIMEOUT_S = 1.0
"""Of a look-up before acceptance. The workers, who cannot do without theirs, wait for longer."""


class RecipientSource(Protocol):
    """The user service."""

    async def recipients(self, question: RecipientQuestion) -> RecipientAnswer:
        """Everyone asked for who is known. Raises PeerError."""


class Foreseen:
    """Answers from what was asked before; where nobody could be asked, raises PeerUnavailable."""

    def __init__(self, answer: RecipientAnswer | None, *, asked_at: float) -> None:
        self._answer = answer
        self._asked_at = asked_at

    async def by_id(self, user_id: UUID) -> FoundRecipient:
        """By Carillon's own id."""
        return self._found(self._known().by_id.get(str(user_id)))

    async def by_external_id(self, external_id: str) -> FoundRecipient:
        """By the sender's id."""
        return self._found(self._known().by_external_id.get(external_id))

    async def by_address(self, address: Address) -> FoundRecipient:
        """By an address that belongs to the person."""
        return self._found(self._known().by_address.get(f"{address.channel.value}:{address.value}"))

    def _known(self) -> RecipientAnswer:
        if self._answer is None:
            raise PeerUnavailable(SERVICE, "could not be asked about the batch")
        return self._answer

    def _found(self, recipient: Recipient | None) -> FoundRecipient:
        return FoundRecipient(recipient=recipient, asked_at=self._asked_at)


async def foresee(requests: Iterable[NotificationRequest], users: RecipientSource) -> Foreseen:
    """Ask for everybody whom these requests name, at most 1,000."""
    asked_at = time.monotonic()
    listed = list(requests)
    question = RecipientQuestion(
        ids=tuple({request.user_id for request in listed if request.user_id is not None}),
        external_ids=tuple({request.external_id for request in listed if request.external_id is not None}),
        addresses=tuple({address for request in listed if (address := address_of(request)) is not None}),
    )
    if not (question.ids or question.external_ids or question.addresses):
        return Foreseen(RecipientAnswer(), asked_at=asked_at)
    try:
        return Foreseen(await users.recipients(question), asked_at=asked_at)
    except PeerError:
        return Foreseen(None, asked_at=asked_at)


def address_of(request: NotificationRequest) -> Address | None:
    """The address in `to`, in the form of its channel."""
    value = None if request.to is None else request.to.of(request.notification_type)
    return None if value is None else Address(channel=request.notification_type, value=value)
