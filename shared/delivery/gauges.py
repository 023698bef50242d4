"""Gauges that have to be asked for: what is open in the ledger, which breakers are not closed."""

import asyncio
from typing import Generic, TypeVar

from shared.contracts.channels import Channel
from shared.delivery import metrics
from shared.delivery.ledger import Ledger
from shared.delivery.rota import Rota

ContentT = TypeVar("ContentT")
INTERVAL_S = 5.0


class Gauges(Generic[ContentT]):
    """Asks every 5 s."""

    def __init__(self, *, channel: Channel, ledger: Ledger, rota: Rota[ContentT]) -> None:
        self._channel = channel.value
        self._ledger = ledger
        self._rota = rota

    async def run(self) -> None:
        """For ever."""
        while True:
            for provider, state in self._rota.breaker_states.items():
                metrics.BREAKER_OPEN.labels(self._channel, provider).set(state != "closed")
            for state, count in (await self._ledger.open_targets()).items():
                metrics.LEDGER_OPEN.labels(self._channel, state.value).set(count)
            await asyncio.sleep(INTERVAL_S)
