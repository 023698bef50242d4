"""Calls of providers, valid by default."""

import time
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID, uuid4

from shared.contracts.channels import EmailContent, PushContent
from shared.delivery.provider import ProviderCall, Target

ContentT = TypeVar("ContentT")


def an_email_call(
    *,
    address: str = "ann.doe@example.com",
    name: str | None = "Ann Doe",
    subject: str = "Your order",
    text: str = "Hello Ann\n",
    deadline_in_s: float = 60.0,
) -> ProviderCall[EmailContent]:
    """One mail for one person."""
    content = EmailContent(subject=subject, html=f"<p>{text}</p>", text=text)
    return _a_call(content, Target(id="mail-0", address=address, name=name), deadline_in_s=deadline_in_s)


def a_push_call(
    *,
    token: str = "device-token-1",
    title: str = "Your order",
    body: str = "It has shipped",
    category: str = "transactional",
    deadline_in_s: float = 60.0,
) -> ProviderCall[PushContent]:
    """One push notification for one device."""
    return _a_call(
        PushContent(title=title, body=body),
        Target(id="device-0", address=token),
        category=category,
        deadline_in_s=deadline_in_s,
    )


def _a_call(
    content: ContentT, target: Target, *, category: str = "transactional", deadline_in_s: float
) -> ProviderCall[ContentT]:
    notification_id: UUID = uuid4()
    return ProviderCall(
        notification_id=notification_id,
        run=1,
        attempt=1,
        message_id=f"{notification_id}.1",
        category=category,
        target=target,
        content=content,
        created_at=datetime.now(UTC),
        deadline=time.monotonic() + deadline_in_s,
        correlation_id="test",
    )
