"""Releasing a notification: the order that goes to its channel, with the template version pinned."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import msgspec

from gateway_service.domain.acceptance import Templates
from gateway_service.domain.recipients import RecipientSource
from gateway_service.storage.notifications import Notification
from shared.broker.interface import Message
from shared.broker.topology import lane_queue
from shared.clients.peer import PeerError
from shared.contracts.delivery import DeliveryRequested, InlineMessage, TemplateMessage
from shared.contracts.recipients import Address, RecipientQuestion


def release_message(notification: Notification) -> Message:
    """The order to deliver, on its way to the lane's queue."""
    order = DeliveryRequested(
        notification_id=notification.id,
        run=notification.run,
        channel=notification.channel,
        lane=notification.lane,
        category=notification.category,
        priority=notification.priority,
        user_id=None if notification.address is not None else notification.user_id,
        address=notification.address,
        message=_message(notification),
        correlation_id=notification.correlation_id,
        created_at=notification.created_at,
        expires_at=notification.expires_at,
        test=notification.test,
        except_targets=notification.excluded_targets,
    )
    return Message(
        route=lane_queue(notification.channel, notification.lane),
        body=msgspec.json.encode(order),
        headers={
            "correlation_id": notification.correlation_id,
            "notification_id": str(notification.id),
        },
    )


def _message(notification: Notification) -> TemplateMessage | InlineMessage:
    if notification.content is not None:
        return notification.content
    return TemplateMessage(
        code=notification.template_code or "",
        language=notification.language,
        version=notification.template_version,
        variables=notification.variables,
    )


async def pin(
    notifications: Sequence[Notification], *, templates: Templates, users: RecipientSource
) -> tuple[list[Notification], Sequence[tuple[UUID, int]]]:
    """The notifications with the versions that are published now, and which of them are new (id, version).

    Where no language was settled at acceptance, it is the recipient's of now. Not pinned is what cannot be
    known while the user or the template service is away: then the worker takes what is published.
    """
    unpinned = [item for item in notifications if item.template_code and item.template_version is None]
    languages = await _languages([item for item in unpinned if item.language is None], users)
    versions: dict[UUID, int] = {}
    for item in unpinned:
        if item.language is None and languages is None:
            continue
        language = item.language or (languages or {}).get(item.id)
        with suppress(PeerError):
            released = await templates.released(item.template_code or "", language)
            if released is not None:
                versions[item.id] = released.version
    pinned = [
        replace(item, template_version=versions[item.id]) if item.id in versions else item
        for item in notifications
    ]
    return pinned, list(versions.items())


async def _languages(
    notifications: Sequence[Notification], users: RecipientSource
) -> dict[UUID, str | None] | None:
    """The recipients' languages by notification; None where nobody can be asked."""
    if not notifications:
        return {}
    addresses = {
        item.id: Address(channel=item.channel, value=item.address)
        for item in notifications
        if item.address is not None
    }
    question = RecipientQuestion(
        ids=tuple({item.user_id for item in notifications if item.user_id and item.id not in addresses}),
        addresses=tuple(set(addresses.values())),
    )
    try:
        answer = await users.recipients(question)
    except PeerError:
        return None
    languages: dict[UUID, str | None] = {}
    for item in notifications:
        address = addresses.get(item.id)
        person = (
            answer.by_id.get(str(item.user_id))
            if address is None
            else answer.by_address.get(f"{address.channel.value}:{address.value}")
        )
        languages[item.id] = None if person is None else person.language
    return languages
