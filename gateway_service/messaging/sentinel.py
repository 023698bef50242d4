"""Watches whether the broker still has its data: it holds a sentinel, and the database knows which."""

import asyncio

import structlog

from gateway_service.storage.outbox import adopt_epoch, known_epoch
from shared.broker.interface import Broker, BrokerError
from shared.database.engine import Database
from shared.process.identifiers import uuid7

log = structlog.get_logger()

INTERVAL_S = 5.0


class Sentinel:
    """Where the sentinel is gone or another, the ledgers are asked at once about everything published."""

    def __init__(self, database: Database, broker: Broker, *, interval_s: float = INTERVAL_S) -> None:
        self._database = database
        self._broker = broker
        self._interval_s = interval_s

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._interval_s)

    async def look(self) -> None:
        """Look once; a broker that is away is looked at again later. Raises DatabaseUnavailable.

        The sentinel is written first and remembered after: a crash in between is seen as a change at the
        next look. Of several gateways that write at once, one sentinel stays, and all adopt that one.
        """
        try:
            epoch = await self._broker.epoch()
            async with self._database.connection() as connection:
                known = await known_epoch(connection)
            if epoch is not None and epoch == known:
                return
            if epoch is None:
                await self._broker.write_epoch(str(uuid7()))
                epoch = await self._broker.epoch()
        except BrokerError as error:
            log.debug("sentinel.not_seen", reason=type(error).__name__)
            return
        if epoch is None:
            return
        # In one transaction: the new epoch without the entries marked would hide what was lost.
        async with self._database.transaction() as connection:
            changed = await adopt_epoch(connection, epoch)
        if changed and known is not None:
            log.warning("broker.wiped")
