"""Valid objects by default: a test names only what it is about."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from gateway_service.storage.notifications import Notification
from shared.broker.interface import Message
from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import Attempt, DeliveryReported, DeliveryState
from shared.contracts.http.notification_answers import NotificationStatus
from shared.contracts.recipients import Recipient
from shared.contracts.templates import TemplateVersion
from shared.process.identifiers import uuid7


def an_email() -> str:
    """A mail address that nobody else has."""
    return f"person-{uuid4().hex[:12]}@example.com"


def a_registration(**changes: str) -> dict[str, str]:
    """The body of POST /auth/register."""
    return {"name": "Ann", "email": an_email(), "password": "correct horse battery", **changes}


def a_template(**changes: object) -> dict[str, object]:
    """The body of POST /templates, with a code that no other template has."""
    return {
        "code": f"order_shipped.{uuid4().hex[:12]}",
        "name": "Order shipped",
        "notification_type": "email",
        "language": "en",
        "subject": "Your order {{ order }}",
        "body": "<p>Hello {{ name }}</p>",
        **changes,
    }


def a_template_version(**changes: object) -> TemplateVersion:
    """A published version, as the workers fetch it."""
    version = TemplateVersion(
        code="order_shipped",
        channel=Channel.EMAIL,
        version=1,
        language="en",
        subject="Your order",
        body="<p>Hello {{ name }}</p>",
        text_body=None,
        required_variables=(),
        variables_schema=None,
    )
    return msgspec.structs.replace(version, **changes)


def a_message(
    *, route: str = "email.queue", body: bytes = b"{}", headers: dict[str, str] | None = None
) -> Message:
    """A message for the broker."""
    return Message(route=route, body=body, headers={} if headers is None else headers)


def a_recipient(**changes: object) -> Recipient:
    """Somebody with a mail address, no devices and no wishes."""
    recipient = Recipient(
        id=uuid4(),
        name="Ann",
        email="ann@example.com",
        phone=None,
        slack_id=None,
        language="en",
        timezone="UTC",
        enabled={},
        categories={},
        quiet_hours=None,
        devices=(),
    )
    return msgspec.structs.replace(recipient, **changes)


def a_delivery_report(**changes: object) -> DeliveryReported:
    """One target, taken at the first attempt."""
    now = datetime.now(UTC)
    report = DeliveryReported(
        notification_id=uuid4(),
        run=1,
        target="address",
        targets=1,
        channel=Channel.EMAIL,
        attempt=1,
        state=DeliveryState.SENT,
        provider="smtp",
        provider_message_id="<1@example.com>",
        problem=None,
        possible_duplicate=False,
        deferred_until=None,
        attempts=(
            Attempt(
                number=1, provider="smtp", outcome="accepted", problem=None, started_at=now, duration_ms=5
            ),
        ),
        occurred_at=now,
        correlation_id="test",
    )
    return msgspec.structs.replace(report, **changes)


def a_notification(**changes: object) -> Notification:
    """As it is stored once it is accepted, and due at once."""
    now = datetime.now(UTC)
    notification = Notification(
        id=uuid7(),
        owner=uuid4(),
        user_id=uuid4(),
        external_id=None,
        address=None,
        channel=Channel.EMAIL,
        template_code="hello",
        template_version=1,
        language="en",
        variables={},
        content=None,
        priority=5,
        lane=Lane.NORMAL,
        category="transactional",
        metadata={},
        status=NotificationStatus.ACCEPTED,
        run=1,
        scheduled_at=None,
        expires_at=None,
        due_at=now,
        test=False,
        batch_id=None,
        event_id=None,
        correlation_id="test",
        created_at=now,
    )
    return replace(notification, **changes)  # type: ignore[arg-type] # by keyword
