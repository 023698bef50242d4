"""Tells the gateway what happened, through the broker."""

import msgspec
import structlog

from shared.broker.interface import Broker, Message, Receipt
from shared.broker.topology import FAILED_QUEUE, REPORTS_QUEUE
from shared.contracts.channels import Channel
from shared.contracts.delivery import (
    TERMINAL_STATES,
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


class Reporter:
    """Publishes reports in groups. A report that the broker does not take is left to the ledger, which
    repeats what has had no receipt; so nothing here raises, and nobody waits for a broker that is away."""

    def __init__(self, broker: Broker, *, channel: Channel) -> None:
        self._channel = channel
        self._broker = broker
        self._group: GroupCommit[Message, Receipt] = GroupCommit(self._publish)

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
        await self._send(_envelope(report, request=row.request, stack=stack))

    async def announce(self, report: DeliveryReported) -> None:
        """Report what is not in the ledger in these words: that a slow call has begun."""
        await self._send(_envelope(report, request=None, stack=None))

    async def repeat(self, rows: list[LedgerRow]) -> None:
        """Report rows again that have had no receipt."""
        messages = [_envelope(row.report(self._channel), request=row.request, stack=None) for row in rows]
        await self._broker.publish(messages)

    async def _send(self, message: Message) -> None:
        try:
            receipt = await self._group.submit(message)
        except Overloaded:
            return
        if receipt.error is not None:
            log.warning("report.not_published", reason=type(receipt.error).__name__)

    async def _publish(self, messages: list[Message]) -> list[Receipt]:
        return await self._broker.publish(messages)


def _envelope(report: DeliveryReported, *, request: bytes | None, stack: str | None) -> Message:
    headers = {
        "correlation_id": report.correlation_id,
        "notification_id": str(report.notification_id),
    }
    if report.state is DeliveryState.FAILED and request is not None:
        parked = DeliveryParked(
            report=report, request=msgspec.json.decode(request, type=DeliveryRequested), stack=stack
        )
        return Message(route=FAILED_QUEUE, body=msgspec.json.encode(parked), headers=headers)
    return Message(route=REPORTS_QUEUE, body=msgspec.json.encode(report), headers=headers)
