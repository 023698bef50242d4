"""Tells the gateway what happened, through the broker."""

from collections.abc import Sequence

import msgspec
import structlog

from shared.broker.interface import Broker, Message, Receipt
from shared.broker.topology import FAILED_QUEUE, REPORTS_QUEUE
from shared.contracts.channels import Channel
from shared.contracts.delivery import (
    TERMINAL_STATES,
    DeliveriesReported,
    DeliveryParked,
    DeliveryReported,
    DeliveryRequested,
    DeliveryState,
)
from shared.database.errors import Overloaded
from shared.database.group_commit import GroupCommit
from shared.delivery.ledger_rows import LedgerRow
from shared.delivery.metrics import ENDED

log = structlog.get_logger()

GATHER_S = 0.025
MOST_IN_ONE = 100
"""Reports in a message: with a long history each still far from the broker's limit."""


class Reporter:
    """Publishes reports in groups. A report that the broker does not take is left to the ledger, which
    repeats what has had no receipt; so nothing here raises, and nobody waits for a broker that is away."""

    def __init__(self, broker: Broker, *, channel: Channel) -> None:
        self._channel = channel
        self._broker = broker
        self._group: GroupCommit[DeliveryReported, Receipt] = GroupCommit(
            self._publish, name="reports.publishing", max_wait_s=GATHER_S, max_batch=MOST_IN_ONE
        )

    async def start(self) -> None:
        """Begin to take reports."""
        await self._group.start()

    async def close(self) -> None:
        """Publish what is pending."""
        await self._group.close()

    async def report(self, row: LedgerRow, *, stack: str | None = None) -> None:
        """Report a row as it stands; a failed one goes to failed.queue with its message."""
        report = row.report(self._channel)
        if row.state in TERMINAL_STATES:
            ENDED.labels(self._channel.value, row.state.value).inc()
        parked = _parked(report, request=row.request, stack=stack)
        if parked is None:
            await self.announce(report)
        else:
            (receipt,) = await self._broker.publish([parked])
            _log_failure(receipt)

    async def announce(self, report: DeliveryReported) -> None:
        """Report in these words, which need not be the ledger's: that a slow call has begun, say."""
        try:
            receipt = await self._group.submit(report)
        except Overloaded:
            return
        _log_failure(receipt)

    async def repeat(self, rows: list[LedgerRow]) -> None:
        """Report rows again that have had no receipt."""
        messages: list[Message] = []
        reports: list[DeliveryReported] = []
        for row in rows:
            report = row.report(self._channel)
            parked = _parked(report, request=row.request, stack=None)
            if parked is None:
                reports.append(report)
            else:
                messages.append(parked)
        for first in range(0, len(reports), MOST_IN_ONE):
            messages.append(_together(reports[first : first + MOST_IN_ONE]))
        await self._broker.publish(messages)

    async def _publish(self, reports: list[DeliveryReported]) -> list[Receipt]:
        (receipt,) = await self._broker.publish([_together(reports)])
        return [receipt] * len(reports)


def _together(reports: Sequence[DeliveryReported]) -> Message:
    return Message(
        route=REPORTS_QUEUE, body=msgspec.json.encode(DeliveriesReported(reports=tuple(reports))), headers={}
    )


def _parked(report: DeliveryReported, *, request: bytes | None, stack: str | None) -> Message | None:
    """The message for failed.queue; None for what does not belong there."""
    if report.state is not DeliveryState.FAILED or request is None:
        return None
    parked = DeliveryParked(
        report=report, request=msgspec.json.decode(request, type=DeliveryRequested), stack=stack
    )
    headers = {
        "correlation_id": report.correlation_id,
        "notification_id": str(report.notification_id),
    }
    return Message(route=FAILED_QUEUE, body=msgspec.json.encode(parked), headers=headers)


def _log_failure(receipt: Receipt) -> None:
    if receipt.error is not None:
        log.warning("report.not_published", reason=type(receipt.error).__name__)
