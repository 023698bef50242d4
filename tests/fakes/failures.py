"""Failures and jobs as the public API has them: a test names only what it is about."""

from datetime import UTC, datetime, timedelta

from shared.contracts.channels import Channel
from shared.contracts.http.failures import FailedMessage, FailureDetail, FailureFilter, FailureStatus
from shared.contracts.http.notification_answers import AttemptItem, NotificationStatus
from shared.contracts.http.reprocessing import JobPhase, JobStatus, ReprocessJob
from shared.process.identifiers import uuid7

NOW = datetime(2030, 1, 31, 8, 0, tzinfo=UTC)
CAUSE, OTHER_CAUSE = "5d41402abc4b2a76b9719d911017c592", "0" * 32


def a_failure(**changes: object) -> FailureDetail:
    """An open one, of a mail that its server refused."""
    values: dict[str, object] = {
        "id": uuid7(), "notification_id": uuid7(), "target": "t_1", "run": 1,
        "notification_type": Channel.EMAIL,
        "provider": "smtp", "error_type": "provider.rejected", "error": "554 5.7.1 Relay access denied",
        "template_code": "order_shipped", "cause": CAUSE, "status": FailureStatus.OPEN, "created_at": NOW,
        "closed_at": None, "closed_by": None, "job_id": None, "raw": None, "stack": None,
        "notification_status": NotificationStatus.FAILED, "audit": (), "message": a_message(),
        "attempts": (
            AttemptItem(
                number=1, run=1, target="t_1", provider="smtp", outcome="rejected", error="554 5.7.1 Relay",
                started_at=NOW, duration_ms=12,
            ),
        ),
        **changes,
    }  # fmt: skip
    return FailureDetail.model_validate(values)


def a_message(**changes: object) -> FailedMessage:
    """Whole, for somebody who may see it."""
    values: dict[str, object] = {
        "user_id": uuid7(), "address": "ann@example.com", "template_code": "order_shipped",
        "template_version": 3, "language": "en", "variables": {"name": "Ann"}, "subject": None, "body": None,
        "category": "transactional", "priority": 5, "lane": "normal", "test": False, "correlation_id": "abc",
        "accepted_at": NOW, "expires_at": None, "masked": False, **changes,
    }  # fmt: skip
    return FailedMessage.model_validate(values)


def a_job(**changes: object) -> ReprocessJob:
    """Of nine failures, completed."""
    values: dict[str, object] = {
        "id": uuid7(), "status": JobStatus.COMPLETED, "phase": JobPhase.REST, "reason": None,
        "filter": FailureFilter(cause=CAUSE), "limit": None, "per_second": 100.0,
        "skip_likely_duplicates": False,
        "total": 9, "released": 9, "skipped": 0, "sent": 9, "failed_again": 0, "other": 0, "in_flight": 0,
        "created_by": "account x", "created_at": NOW, "updated_at": NOW, "finished_at": None, **changes,
    }  # fmt: skip
    return ReprocessJob.model_validate(values)


def aged(hours: int, **changes: object) -> FailureDetail:
    """One that failed so long before NOW."""
    return a_failure(created_at=NOW - timedelta(hours=hours), **changes)
