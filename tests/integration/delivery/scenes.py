"""Recipients, requests and a template for tests of the worker."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import (
    DeliveryRequested,
    Problem,
    TemplateMessage,
)
from shared.contracts.recipients import DeviceTarget, QuietHours, Recipient
from shared.contracts.templates import TemplateVersion
from shared.delivery.outcomes import Outcome, Retryable, Unknown
from tests.fakes.delivery import People, ScriptedProvider, Templates
from tests.integration.delivery.conftest import ChannelUnderTest, OpenChannel

PROBLEM = Problem(kind="provider.refused", message="No.")
RETRYABLE = Retryable(problem=PROBLEM)
UNKNOWN = Unknown(problem=PROBLEM)

WELCOME = TemplateVersion(
    code="welcome",
    channel=Channel.PUSH,
    version=1,
    language="en",
    subject="Hi",
    body="Hello {{ name }}",
    text_body=None,
    required_variables=("name",),
    variables_schema=None,
)


def a_recipient(
    *, devices: int = 1, enabled: dict[str, bool] | None = None, quiet_hours: QuietHours | None = None
) -> Recipient:
    return Recipient(
        id=uuid4(),
        name="Ann",
        email=None,
        phone=None,
        slack_id=None,
        language=None,
        timezone="UTC",
        enabled=enabled or {},
        categories={},
        quiet_hours=quiet_hours,
        devices=tuple(
            DeviceTarget(id=UUID(int=number), platform="android", token=f"token-{number}")
            for number in range(1, devices + 1)
        ),
    )


def a_request(
    recipient: Recipient | None,
    *,
    category: str = "transactional",
    variables: dict[str, object] | None = None,
    code: str = "welcome",
    expires_at: datetime | None = None,
    test: bool = False,
    address: str | None = None,
) -> DeliveryRequested:
    return DeliveryRequested(
        notification_id=uuid4(),
        run=1,
        channel=Channel.PUSH,
        lane=Lane.NORMAL,
        category=category,
        priority=5,
        user_id=None if recipient is None else recipient.id,
        address=address,
        message=TemplateMessage(
            code=code, language=None, version=1, variables={"name": "Ann"} if variables is None else variables
        ),
        correlation_id="c-1",
        created_at=datetime.now(UTC),
        expires_at=expires_at,
        test=test,
    )


async def a_channel(open_channel: OpenChannel, recipient: Recipient, *answers: Outcome) -> ChannelUnderTest:
    return await open_channel(People(recipient), Templates(WELCOME), ScriptedProvider(*answers))


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
