"""Tells the ledgers which of their reports are stored. Best effort: a ledger repeats what got no receipt."""

import asyncio
from collections import deque

import structlog

from shared.clients.ledgers import LedgerClient
from shared.clients.peer import PeerError
from shared.contracts.channels import Channel
from shared.contracts.delivery import DeliveryReported, ReportReceipt

log = structlog.get_logger()

MAX_BATCH = 1000
MAX_WAITING = 20_000
GATHER_S = 0.25


class Receipts:
    """Gathers receipts for a moment and sends them by channel."""

    def __init__(self, ledgers: LedgerClient) -> None:
        self._ledgers = ledgers
        self._waiting: deque[DeliveryReported] = deque(maxlen=MAX_WAITING)
        self._some = asyncio.Event()

    def offer(self, report: DeliveryReported) -> None:
        """Send soon."""
        self._waiting.append(report)
        self._some.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(GATHER_S)
            await self.send()

    async def send(self) -> None:
        """Send what has gathered."""
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
        if not self._waiting:
            self._some.clear()
        by_channel: dict[Channel, list[ReportReceipt]] = {}
        for report in batch:
            receipt = ReportReceipt(
                notification_id=report.notification_id,
                run=report.run,
                target=report.target,
                attempt=report.attempt,
                state=report.state,
            )
            by_channel.setdefault(report.channel, []).append(receipt)
        for channel, receipts in by_channel.items():
            try:
                await self._ledgers.acknowledge(channel, receipts)
            except PeerError as error:
                log.info("receipts.not_sent", channel=channel.value, reason=str(error))
