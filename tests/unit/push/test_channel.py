"""The push channel: one target for each device, and content that every push service takes."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from push_service.channel import LARGEST_TEXT_BYTES, PushChannel
from shared.contracts.channels import Channel, Lane, PushContent
from shared.contracts.delivery import DeliveryRequested, InlineMessage
from shared.contracts.recipients import DeviceTarget, Recipient
from shared.delivery.provider import RenderedMessage

CHANNEL = PushChannel()


def a_request(*, address: str | None = None) -> DeliveryRequested:
    return DeliveryRequested(
        notification_id=uuid4(),
        run=1,
        channel=Channel.PUSH,
        lane=Lane.NORMAL,
        category="transactional",
        priority=5,
        user_id=None if address else uuid4(),
        address=address,
        message=InlineMessage(subject=None, body="Hello"),
        correlation_id="test",
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
        expires_at=None,
        test=False,
    )


def a_recipient(*devices: DeviceTarget) -> Recipient:
    return Recipient(
        id=uuid4(),
        name="Ann",
        email=None,
        phone=None,
        slack_id=None,
        language=None,
        timezone="UTC",
        enabled={},
        categories={},
        quiet_hours=None,
        devices=devices,
    )


def test_every_device_with_a_token_is_a_target() -> None:
    phone, tablet, browser = (UUID(int=number) for number in (1, 2, 3))
    recipient = a_recipient(
        DeviceTarget(id=phone, platform="android", token="token-a"),
        DeviceTarget(id=tablet, platform="ios", token="token-b"),
        DeviceTarget(id=browser, platform="web", token=None, subscription={"endpoint": "https://e"}),
    )
    targets = CHANNEL.targets(a_request(), recipient)
    assert [(target.id, target.address) for target in targets] == [
        (str(phone), "token-a"),
        (str(tablet), "token-b"),
    ]


def test_token_in_the_request_is_the_only_target_and_is_not_disclosed_by_its_id() -> None:
    device = DeviceTarget(id=UUID(int=1), platform="ios", token="token-b")
    (target,) = CHANNEL.targets(a_request(address="secret-token"), a_recipient(device))
    assert target.address == "secret-token"
    assert target.id.startswith("token-")
    assert "secret" not in target.id
    assert [target] == list(CHANNEL.targets(a_request(address="secret-token"), None))


def test_nobody_and_nobody_s_devices_are_no_target() -> None:
    assert not CHANNEL.targets(a_request(), None)
    assert not CHANNEL.targets(a_request(), a_recipient())


def test_title_may_be_left_out() -> None:
    rendered = RenderedMessage(subject=None, body=" Hello \n", text_body=None)
    assert CHANNEL.content(rendered) == PushContent(title="", body="Hello")


@pytest.mark.parametrize(
    ("subject", "body", "complaint"),
    [
        (None, "", "neither"),
        (" ", "\n", "neither"),
        ("", "é" * (LARGEST_TEXT_BYTES // 2 + 1), "longer"),
        ("\ud800", "Hello", "surrogate"),
    ],
)
def test_content_that_no_push_service_takes_is_refused(
    subject: str | None, body: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        CHANNEL.content(RenderedMessage(subject=subject, body=body, text_body=None))
