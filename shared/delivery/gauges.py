"""Gauges that have to be asked for: what is open in the ledger."""

import asyncio

from shared.contracts.channels import Channel
from shared.delivery import metrics
from shared.delivery.ledger import Ledger
from shared.process.stale import unsay

INTERVAL_S = 5.0


class Gauges:
    """Asks every 5 s; while the ledger does not answer they are not there."""

    def __init__(self, *, channel: Channel, ledger: Ledger) -> None:
        self._channel = channel.value
        self._ledger = ledger

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self.look()
            except Exception:
                unsay(metrics.LEDGER_OPEN)
                raise
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> None:
        """Once, now. Raises DatabaseUnavailable."""
        for state, count in (await self._ledger.open_targets()).items():
            metrics.LEDGER_OPEN.labels(self._channel, state.value).set(count)
