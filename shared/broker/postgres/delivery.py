"""A message taken under a lease, and the ways to finish it."""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from shared.broker.postgres.leases import Lease
from shared.broker.postgres.settlement import Fate, Settlement, Settler
from shared.broker.topology import RETRY_DELAYS_S

log = structlog.get_logger()


class PostgresDelivery:
    """See `Delivery`."""

    def __init__(
        self, lease: Lease, *, queue: str, settler: Settler, freed: "Callable[[PostgresDelivery], None]"
    ) -> None:
        self.lease = lease
        self._queue = queue
        self._settler = settler
        self._freed = freed
        self._finished = False

    @property
    def body(self) -> bytes:
        """See `Delivery.body`."""
        return self.lease.body

    @property
    def headers(self) -> dict[str, str]:
        """See `Delivery.headers`; what is no text, or begins with `x-`, is left out."""
        try:
            headers = msgspec.json.decode(self.lease.headers, type=dict[str, object])
        except msgspec.DecodeError:
            return {}
        return {
            name: value
            for name, value in headers.items()
            if isinstance(value, str) and not name.startswith("x-")
        }

    @property
    def queue(self) -> str:
        """See `Delivery.queue`."""
        return self._queue

    @property
    def deliveries(self) -> int:
        """See `Delivery.deliveries`."""
        return self.lease.deliveries

    async def ack(self) -> None:
        """See `Delivery.ack`."""
        self._settle(Fate.ACKED)

    async def retry_later(self, step: int) -> None:
        """See `Delivery.retry_later`: the message itself moves into the future."""
        await self._settled(self._settle(Fate.RETRIED, delay_s=float(RETRY_DELAYS_S[step])))

    async def park(self, body: bytes) -> None:
        """See `Delivery.park`: one transaction forgets the one and stores the other."""
        await self._settled(self._settle(Fate.PARKED, body=body))

    async def hand_back(self) -> None:
        """Put a message that was never handed out back where it was."""
        await self._settled(self._settle(Fate.HANDED_BACK))

    def give_up(self) -> None:
        """Nobody is going to finish it: whoever comes next may have it at once."""
        self._settle(Fate.ABANDONED)

    def lost(self) -> None:
        """The message has changed hands: what is still tried with it does nothing."""
        log.info("delivery.lost", queue=self._queue)

    def _settle(self, fate: Fate, *, delay_s: float = 0.0, body: bytes = b"") -> Settlement | None:
        if self._finished:
            return None
        self._finished = True
        settlement = Settlement(
            id=self.lease.id, lease=self.lease.token, fate=fate, delay_s=delay_s, body=body
        )
        if fate is not Fate.HANDED_BACK:
            settlement.done.add_done_callback(lambda _: self._freed(self))
        self._settler.submit(settlement)
        return settlement

    @staticmethod
    async def _settled(settlement: Settlement | None) -> None:
        if settlement is not None:
            await asyncio.wait({settlement.done})
