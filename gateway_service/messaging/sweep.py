"""The sweep: releases what falls due later, and what a crash or an absent broker left behind."""

import asyncio

import structlog

from gateway_service.domain.acceptance import Templates
from gateway_service.domain.recipients import RecipientSource
from gateway_service.domain.release import pin
from gateway_service.messaging.postmarks import Postmarks
from gateway_service.messaging.relay import publish
from gateway_service.storage.notifications import Notification
from gateway_service.storage.outbox import RunKey, claim_unpublished, drop_orphans, hand_back
from gateway_service.storage.releases import load_notifications, pin_versions
from shared.broker.interface import Broker, BrokerError
from shared.database.engine import Database
from shared.process.crash_points import CrashPoint, reach

log = structlog.get_logger()

MAX_BATCH = 500
PAUSE_AFTER_REFUSAL_S = 2.0


class Sweep:
    """Any number of gateways may sweep at once: a claim is one gateway's."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        templates: Templates,
        *,
        users: RecipientSource,
        postmarks: Postmarks,
        interval_s: float,
    ) -> None:
        self._database = database
        self._broker = broker
        self._templates = templates
        self._users = users
        self._interval_s = interval_s
        self._postmarks = postmarks

    async def run(self) -> None:
        """Sweep until cancelled; without a pause while there is a full batch."""
        while True:
            if await self.sweep() < MAX_BATCH:
                await asyncio.sleep(self._interval_s)

    async def sweep(self) -> int:
        """Release one batch; how many were published. Raises DatabaseUnavailable."""
        try:
            await self._broker.ping()
        except BrokerError:
            # Claiming would only move what is due away from the moment when the broker is back.
            return 0
        async with self._database.connection() as connection:
            keys = await claim_unpublished(connection, limit=MAX_BATCH)
            if not keys:
                return 0
            stored = await load_notifications(connection, [key[0] for key in keys])
        reach(CrashPoint.SWEEP_CLAIMED)
        current = [stored[key[0]] for key in keys if key[0] in stored and stored[key[0]].run == key[1]]
        await self._drop_the_rest(keys, current)
        pinned = await self._pin(current)
        taken = await publish(pinned, broker=self._broker, postmarks=self._postmarks, by="sweep")
        left = [(item.id, item.run) for item in pinned if (item.id, item.run) not in taken]
        if left:
            async with self._database.connection() as connection:
                await hand_back(connection, left, pause_s=PAUSE_AFTER_REFUSAL_S)
            log.warning("sweep.not_published", count=len(left))
        if taken:
            log.info("sweep.released", count=len(taken))
        return len(taken)

    async def _pin(self, notifications: list[Notification]) -> list[Notification]:
        pinned, pins = await pin(notifications, templates=self._templates, users=self._users)
        if pins:
            async with self._database.transaction() as connection:
                await pin_versions(connection, pins)
        return pinned

    async def _drop_the_rest(self, keys: list[RunKey], current: list[Notification]) -> None:
        orphans = set(keys) - {(item.id, item.run) for item in current}
        if orphans:
            async with self._database.connection() as connection:
                await drop_orphans(connection, list(orphans))
            log.warning("sweep.orphans_dropped", count=len(orphans))
