"""The third rung: what the gateway does before a mail is sent, and after it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway_service.domain.reporting import take_over
from gateway_service.domain.submission import Submissions
from gateway_service.messaging import receipts, reports
from gateway_service.storage.acceptance import KeyClaim
from gateway_service.storage.notifications import Notification
from shared.contracts.channels import Channel
from shared.contracts.delivery import DeliveryReported, DeliveryRequested, ReportReceipt
from shared.database.engine import Database
from shared.database.group_commit import GroupCommit
from shared.delivery.ledger import Ledger
from shared.delivery.ledger_rows import LedgerRow


@dataclass(frozen=True, kw_only=True)
class Mail:
    """What is to be sent, as the gateway and as the email service have it."""

    notification: Notification
    key: KeyClaim
    order: DeliveryRequested
    raw: bytes


class _Nobody:
    """Takes what was committed, in the relay's place: there is no broker here."""

    def offer(self, notifications: Sequence[Notification]) -> None:
        """Nothing."""


class Gateway:
    """Its part in the guarantees, with its own code and the sizes and waits of its groups."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database, self._ledger = database, ledger
        self._submissions = Submissions(database, _Nobody(), within_s=2.0)
        self._reports = GroupCommit[DeliveryReported, None](
            self._take_over,
            name="reports.storing",
            max_batch=reports.MAX_BATCH,
            max_wait_s=reports.MAX_WAIT_S,
            concurrency=1,
        )
        self._receipts = GroupCommit[ReportReceipt, None](
            self._receive, name="receipts", max_batch=receipts.MAX_BATCH, max_wait_s=receipts.GATHER_S
        )

    async def start(self) -> None:
        """Take notifications."""
        for part in (self._submissions, self._reports, self._receipts):
            await part.start()

    async def close(self) -> None:
        """Write what is pending."""
        for part in (self._submissions, self._reports, self._receipts):
            await part.close()

    async def accept(self, mail: Mail) -> None:
        """Returns after COMMIT: key, notification and outbox entry are stored."""
        await self._submissions.submit(mail.notification, mail.key)

    async def report(self, row: LedgerRow) -> None:
        """Returns when the report is stored, the outbox entry gone, and the ledger has its receipt."""
        report = row.report(Channel.EMAIL)
        await self._reports.submit(report)
        await self._receipts.submit(
            ReportReceipt(
                notification_id=report.notification_id,
                run=report.run,
                target=report.target,
                attempt=report.attempt,
                state=report.state,
            )
        )

    async def _take_over(self, found: list[DeliveryReported]) -> list[None]:
        await take_over(self._database, found, now=datetime.now(UTC))
        return [None] * len(found)

    async def _receive(self, found: list[ReportReceipt]) -> list[None]:
        await self._ledger.receive(found)
        return [None] * len(found)
