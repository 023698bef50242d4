"""What failed is sent again only where that can do no harm."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from gateway_service.domain.sendability import Sendability, refusal_of, sendability
from gateway_service.storage.reprocessing import Candidate
from shared.contracts.channels import Channel
from shared.contracts.http.failures import FailureStatus
from shared.contracts.http.notification_answers import NotificationStatus

NOW = datetime(2026, 1, 2, tzinfo=UTC)
READY = Candidate(
    id=uuid4(),
    owner=uuid4(),
    notification_id=uuid4(),
    run=1,
    status=FailureStatus.OPEN,
    error_kind="smtp.refused",
    notification_status=NotificationStatus.FAILED,
    current_run=1,
    expires_at=None,
    in_work=False,
    channel=Channel.EMAIL,
    category="transactional",
    user_id=uuid4(),
    address=None,
    language=None,
    words="",
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Sendability.READY),
        ({"expires_at": NOW + timedelta(seconds=1)}, Sendability.READY),
        ({"notification_status": NotificationStatus.SENT}, Sendability.READY),  # another device took it
        ({"status": FailureStatus.REPROCESSED}, Sendability.CLOSED),
        ({"status": FailureStatus.DISCARDED}, Sendability.CLOSED),
        ({"current_run": 2}, Sendability.CLOSED),
        ({"notification_status": None, "current_run": None}, Sendability.UNREADABLE),
        ({"expires_at": NOW}, Sendability.EXPIRED),
        ({"in_work": True}, Sendability.BUSY),
        ({"notification_status": NotificationStatus.UNKNOWN}, Sendability.DOUBT),
        ({"notification_status": NotificationStatus.UNKNOWN, "in_work": True}, Sendability.BUSY),
    ],
)
def test_how_a_failure_stands_decides(changes: dict[str, object], expected: Sendability) -> None:
    found = sendability(replace(READY, **changes), now=NOW)  # type: ignore[arg-type]
    assert found is expected
    refusal = refusal_of(found)
    assert (refusal is None) == (expected is Sendability.READY)
    assert refusal is None or refusal.status == 409
