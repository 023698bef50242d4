"""The wire form of every message between processes, to the byte.

Messages outlive a deployment: they wait in queues, outboxes and ledgers while services are replaced one by
one. A test that fails here asks for a new version of the message, with a name of its own.
"""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import (
    Attempt,
    DeliveriesReported,
    DeliveryKey,
    DeliveryParked,
    DeliveryReported,
    DeliveryRequested,
    DeliveryState,
    InlineMessage,
    LedgerPurge,
    LedgerPurged,
    LedgerQuestion,
    Problem,
    ReportReceipt,
    ReportReceipts,
    TemplateMessage,
    TemplatePublished,
)
from shared.contracts.recipients import (
    Address,
    DeviceTarget,
    QuietHours,
    Recipient,
    RecipientAnswer,
    RecipientQuestion,
)
from shared.contracts.templates import TemplateVersion

NOTIFICATION = UUID("018f3c5e-0000-7000-8000-000000000001")
PERSON = UUID("018f3c5e-0000-7000-8000-000000000002")
AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)

BY_TEMPLATE = DeliveryRequested(
    notification_id=NOTIFICATION,
    run=1,
    channel=Channel.EMAIL,
    lane=Lane.URGENT,
    category="security",
    priority=9,
    user_id=PERSON,
    address=None,
    message=TemplateMessage(code="welcome", language="fr", version=3, variables={"name": "Zoë", "n": 1}),
    correlation_id="c-1",
    created_at=AT,
    expires_at=None,
    test=False,
)
INLINE = DeliveryRequested(
    notification_id=NOTIFICATION,
    run=2,
    channel=Channel.PUSH,
    lane=Lane.BULK,
    category="promotional",
    priority=1,
    user_id=None,
    address="token",
    message=InlineMessage(subject="Hi", body="There"),
    correlation_id="c-1",
    created_at=AT,
    expires_at=AT,
    test=True,
)
REPORTED = DeliveryReported(
    notification_id=NOTIFICATION,
    run=1,
    target="mail-1",
    targets=1,
    channel=Channel.EMAIL,
    attempt=1,
    state=DeliveryState.FAILED,
    provider="smtp",
    provider_message_id=None,
    problem=Problem(kind="provider.refused", message="550 No."),
    possible_duplicate=False,
    deferred_until=None,
    attempts=(
        Attempt(
            number=1,
            provider="smtp",
            outcome="rejected",
            problem=Problem(kind="provider.refused", message="550 No."),
            started_at=AT,
            duration_ms=12,
        ),
    ),
    occurred_at=AT,
    correlation_id="c-1",
)
RECIPIENT = Recipient(
    id=PERSON,
    name="Zoë",
    email="zoe@example.com",
    phone=None,
    slack_id=None,
    language="fr",
    timezone="Europe/Paris",
    enabled={"email": True},
    categories={"promotional": {"email": False}},
    quiet_hours=QuietHours(start="22:00", end="07:00"),
    devices=(DeviceTarget(id=PERSON, platform="web", token=None, subscription={"endpoint": "e"}),),
)

_REQUESTED = (
    b'{"type":"delivery.requested.v1","notification_id":"018f3c5e-0000-7000-8000-000000000001","run":1,'
    b'"channel":"email","lane":"urgent","category":"security","priority":9,'
    b'"user_id":"018f3c5e-0000-7000-8000-000000000002","address":null,'
    b'"message":{"kind":"template","code":"welcome","language":"fr","version":3,'
    b'"variables":{"name":"Zo\xc3\xab","n":1}},"correlation_id":"c-1",'
    b'"created_at":"2026-01-02T03:04:05.678000Z","expires_at":null,"test":false}'
)
_REPORTED = (
    b'{"type":"delivery.reported.v1","notification_id":"018f3c5e-0000-7000-8000-000000000001","run":1,'
    b'"target":"mail-1","targets":1,"channel":"email","attempt":1,"state":"failed","provider":"smtp",'
    b'"provider_message_id":null,"problem":{"kind":"provider.refused","message":"550 No."},'
    b'"possible_duplicate":false,"deferred_until":null,"attempts":[{"number":1,"provider":"smtp",'
    b'"outcome":"rejected","problem":{"kind":"provider.refused","message":"550 No."},'
    b'"started_at":"2026-01-02T03:04:05.678000Z","duration_ms":12}],'
    b'"occurred_at":"2026-01-02T03:04:05.678000Z","correlation_id":"c-1"}'
)
_RECIPIENT = (
    b'{"id":"018f3c5e-0000-7000-8000-000000000002","name":"Zo\xc3\xab","email":"zoe@example.com",'
    b'"phone":null,"slack_id":null,"language":"fr","timezone":"Europe/Paris","enabled":{"email":true},'
    b'"categories":{"promotional":{"email":false}},"quiet_hours":{"start":"22:00","end":"07:00"},'
    b'"devices":[{"id":"018f3c5e-0000-7000-8000-000000000002","platform":"web","token":null,'
    b'"subscription":{"endpoint":"e"}}]}'
)

GOLDEN: list[tuple[msgspec.Struct, bytes]] = [
    (BY_TEMPLATE, _REQUESTED),
    (
        INLINE,
        b'{"type":"delivery.requested.v1","notification_id":"018f3c5e-0000-7000-8000-000000000001","run":2,'
        b'"channel":"push","lane":"bulk","category":"promotional","priority":1,"user_id":null,'
        b'"address":"token","message":{"kind":"inline","subject":"Hi","body":"There"},'
        b'"correlation_id":"c-1","created_at":"2026-01-02T03:04:05.678000Z",'
        b'"expires_at":"2026-01-02T03:04:05.678000Z","test":true}',
    ),
    (
        msgspec.structs.replace(BY_TEMPLATE, except_targets=("device-1",)),
        _REQUESTED.removesuffix(b"}") + b',"except_targets":["device-1"]}',
    ),
    (REPORTED, _REPORTED),
    (
        DeliveriesReported(reports=(REPORTED, REPORTED)),
        b'{"type":"deliveries.reported.v1","reports":[' + _REPORTED + b"," + _REPORTED + b"]}",
    ),
    (
        DeliveryParked(report=REPORTED, request=BY_TEMPLATE, stack="Traceback"),
        b'{"type":"delivery.parked.v1","report":'
        + _REPORTED
        + b',"request":'
        + _REQUESTED
        + b',"stack":"Traceback"}',
    ),
    (TemplatePublished(code="welcome"), b'{"type":"template.published.v1","code":"welcome"}'),
    (
        LedgerQuestion(keys=(DeliveryKey(notification_id=NOTIFICATION, run=1),)),
        b'{"keys":[{"notification_id":"018f3c5e-0000-7000-8000-000000000001","run":1}]}',
    ),
    (LedgerPurge(before=NOTIFICATION), b'{"before":"018f3c5e-0000-7000-8000-000000000001"}'),
    (LedgerPurged(rows=5), b'{"rows":5}'),
    (
        ReportReceipts(
            receipts=(
                ReportReceipt(
                    notification_id=NOTIFICATION, run=1, target="mail-1", attempt=1, state=DeliveryState.SENT
                ),
            )
        ),
        b'{"receipts":[{"notification_id":"018f3c5e-0000-7000-8000-000000000001","run":1,'
        b'"target":"mail-1","attempt":1,"state":"sent"}]}',
    ),
    (
        RecipientQuestion(ids=(PERSON,), addresses=(Address(channel=Channel.EMAIL, value="a@example.com"),)),
        b'{"ids":["018f3c5e-0000-7000-8000-000000000002"],"external_ids":[],'
        b'"addresses":[{"channel":"email","value":"a@example.com"}]}',
    ),
    (
        RecipientAnswer(by_id={str(PERSON): RECIPIENT}),
        b'{"by_id":{"018f3c5e-0000-7000-8000-000000000002":'
        + _RECIPIENT
        + b'},"by_external_id":{},"by_address":{}}',
    ),
    (
        TemplateVersion(
            code="welcome",
            channel=Channel.EMAIL,
            version=3,
            language="fr",
            subject="Bonjour",
            body="<p>{{ name }}</p>",
            text_body=None,
            required_variables=("name",),
            variables_schema=None,
        ),
        b'{"code":"welcome","channel":"email","version":3,"language":"fr","subject":"Bonjour",'
        b'"body":"<p>{{ name }}</p>","text_body":null,"required_variables":["name"],'
        b'"variables_schema":null}',
    ),
]


@pytest.mark.parametrize(("message", "golden"), GOLDEN, ids=lambda value: type(value).__name__)
def test_the_bytes_of_a_message_stay_as_they_are(message: msgspec.Struct, golden: bytes) -> None:
    assert msgspec.json.encode(message) == golden
    assert msgspec.json.decode(golden, type=type(message)) == message


@pytest.mark.parametrize(("message", "golden"), GOLDEN, ids=lambda value: type(value).__name__)
def test_a_field_from_the_future_is_passed_over(message: msgspec.Struct, golden: bytes) -> None:
    """During a rolling upgrade an old consumer meets messages of a newer producer."""
    newer = golden[:-1] + b',"added_later":{"x":1}}'

    assert msgspec.json.decode(newer, type=type(message)) == message
