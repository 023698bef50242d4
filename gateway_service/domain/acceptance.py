"""Whether a notification can be accepted, and as what: checked before anything is written.

What cannot be known now, since the user or the template service is away, is left to the worker.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final, Literal, Protocol
from uuid import UUID

from gateway_service.domain.access import Principal
from gateway_service.domain.recipients import address_of
from gateway_service.domain.refusals import Invalid, NotAllowed, NotNow, invalid
from gateway_service.storage.notifications import Notification
from gateway_service.storage.partitions import created_at
from shared.clients.peer import PeerError
from shared.clients.users import FoundRecipient
from shared.contracts.categories import policy_of
from shared.contracts.channels import CONTENT_FORMATS, Channel, Lane
from shared.contracts.delivery import InlineMessage
from shared.contracts.http.auth import Scope
from shared.contracts.http.notification_answers import NotificationStatus
from shared.contracts.http.notifications import NotificationRequest
from shared.contracts.recipients import Address, Recipient
from shared.contracts.templates import TemplateVersion
from shared.delivery.rendering import check_variables
from shared.process.clock import Clock
from shared.process.correlation import correlation_id
from shared.process.identifiers import uuid7
from shared.web.problems import FieldError

URGENT_FROM = 8
FARTHEST_AHEAD = timedelta(days=366)


class Recipients(Protocol):
    """Who somebody is, as it is now. Each raises PeerError."""

    async def by_id(self, user_id: UUID) -> FoundRecipient:
        """By Carillon's own id."""

    async def by_external_id(self, external_id: str) -> FoundRecipient:
        """By the sender's id."""

    async def by_address(self, address: Address) -> FoundRecipient:
        """By an address that belongs to the person."""


class Templates(Protocol):
    """The published templates."""

    async def released(self, code: str, language: str | None) -> TemplateVersion | None:
        """The version that is published for a language; None where there is none. Raises PeerError."""


class _Away(Enum):
    """Nobody could be asked."""

    AWAY = auto()


AWAY: Final = _Away.AWAY
Person = Recipient | None | Literal[_Away.AWAY]


class Acceptance:
    """Turns a request into the notification to store."""

    def __init__(self, *, templates: Templates, clock: Clock, categories: frozenset[str]) -> None:
        self._templates = templates
        self._clock = clock
        self._categories = categories

    async def check(
        self,
        request: NotificationRequest,
        sender: Principal,
        *,
        recipients: Recipients,
        batch_id: UUID | None = None,
    ) -> Notification:
        """`batch_id`: of the batch that it came in, which takes the bulk lane. Raises a Refused that says
        what is wrong, or NotNow where it cannot be known."""
        now = self._clock.now()
        _check_sender(request, sender)
        self._check_plan(request, now=now)
        person = await _find(request, recipients)
        _check_person(request, person)
        language = request.language
        if language is None and isinstance(person, Recipient):
            language = person.language
        due_now = request.scheduled_at is None or request.scheduled_at <= now
        version = None
        if request.template_code is not None and (language is not None or person is not AWAY):
            version = await self._check_template(request, language=language)
        address = address_of(request)
        identifier = uuid7()
        made_at = created_at(identifier)
        return Notification(
            id=identifier,
            owner=sender.owner,
            user_id=person.id if isinstance(person, Recipient) and request.to is None else request.user_id,
            external_id=request.external_id,
            address=None if address is None else address.value,
            channel=request.notification_type,
            template_code=request.template_code,
            template_version=version if due_now else None,
            language=language,
            variables=request.variables,
            content=_inline(request),
            priority=request.priority,
            lane=lane_of(request, in_batch=batch_id is not None),
            category=request.category,
            metadata=request.metadata,
            status=NotificationStatus.ACCEPTED if due_now else NotificationStatus.SCHEDULED,
            run=1,
            scheduled_at=request.scheduled_at,
            expires_at=request.expires_at,
            due_at=made_at if due_now or request.scheduled_at is None else request.scheduled_at,
            test=sender.test,
            batch_id=batch_id,
            event_id=None,
            correlation_id=correlation_id(),
            created_at=made_at,
        )

    def _check_plan(self, request: NotificationRequest, *, now: datetime) -> None:
        if request.category not in self._categories:
            raise invalid(
                "category", f"There is no such category; there are {', '.join(sorted(self._categories))}"
            )
        if request.scheduled_at is not None and request.scheduled_at > now + FARTHEST_AHEAD:
            raise invalid("scheduled_at", "More than a year ahead")
        if request.expires_at is not None and request.expires_at <= now:
            raise invalid("expires_at", "Is past already")

    async def _check_template(self, request: NotificationRequest, *, language: str | None) -> int | None:
        """The version to pin; None where the template service is away."""
        code = request.template_code or ""
        try:
            template = await self._templates.released(code, language)
        except PeerError:
            return None
        return checked_template(
            template, code=code, channel=request.notification_type, variables=request.variables
        ).version


def checked_template(
    template: TemplateVersion | None, *, code: str, channel: Channel, variables: Mapping[str, object]
) -> TemplateVersion:
    """What was found under `code`, where it can be rendered for the channel with these variables. Raises
    Invalid."""
    if template is None:
        raise invalid("template_code", f"There is no published template {code}")
    if template.channel is not channel:
        raise invalid("template_code", f"This template is made for {template.channel.value}")
    problems = check_variables(template, variables)
    if problems:
        errors = tuple(FieldError(field, message) for field, message in problems)
        raise Invalid("The variables do not fit the template", errors=errors)
    return template


def lane_of(request: NotificationRequest, *, in_batch: bool) -> Lane:
    """Priority 8 and above is urgent; batches and promotions are bulk."""
    if request.priority >= URGENT_FROM:
        return Lane.URGENT
    return Lane.BULK if in_batch or policy_of(request.category).bulk else Lane.NORMAL


def reachable(person: Recipient, channel: Channel) -> bool:
    """Whether the person has an address or a device for the channel."""
    return bool(getattr(person, CONTENT_FORMATS[channel].recipient_field))


def _check_sender(request: NotificationRequest, sender: Principal) -> None:
    if sender.may(Scope.NOTIFICATIONS_SEND):
        return
    if sender.user_id is None:
        raise NotAllowed(f"This needs the scope {Scope.NOTIFICATIONS_SEND.value}.")
    if request.user_id != sender.user_id:
        raise NotAllowed("You may send to yourself only, by your own user_id")
    if request.content is not None:
        # Anybody may register with anybody's address: their words would go out in the organisation's name.
        raise NotAllowed(f"Words of your own need the scope {Scope.NOTIFICATIONS_SEND.value}; use a template")


async def _find(request: NotificationRequest, recipients: Recipients) -> Person:
    try:
        if request.user_id is not None:
            return (await recipients.by_id(request.user_id)).recipient
        if request.external_id is not None:
            return (await recipients.by_external_id(request.external_id)).recipient
        address = address_of(request)
        if address is None or request.template_code is None or request.language is not None:
            return None
        return (await recipients.by_address(address)).recipient
    except PeerError as error:
        if request.external_id is not None:
            raise NotNow("Nobody can be looked up by external_id at the moment; ask again") from error
        return AWAY


def _check_person(request: NotificationRequest, person: Person) -> None:
    if person is AWAY or request.to is not None:
        return
    field = "user_id" if request.user_id is not None else "external_id"
    if person is None:
        raise invalid(field, "There is no such recipient")
    if not reachable(person, request.notification_type):
        raise invalid(field, f"The recipient has no address for {request.notification_type.value}")


def _inline(request: NotificationRequest) -> InlineMessage | None:
    if request.content is None:
        return None
    return InlineMessage(subject=request.content.subject, body=request.content.body)
