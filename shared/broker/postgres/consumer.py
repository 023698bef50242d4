"""Consuming: messages are taken in batches, whenever there is room for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import structlog

from shared.broker.inbox import Inbox
from shared.broker.interface import BrokerUnavailable, Delivery
from shared.broker.link import Backoff
from shared.broker.postgres.delivery import PostgresDelivery
from shared.broker.postgres.leases import LeaseKeeper, next_due_s, take
from shared.broker.postgres.session import Backend, Session
from shared.broker.postgres.settlement import Settler

log = structlog.get_logger()

POLL_S = 1.0
"""The longest time between two looks into the queue: notifications are but hints."""
_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 3.0
_REGISTER = "INSERT INTO broker.consumers (holder, number, queue) VALUES ($1, $2, $3)"
_UNREGISTER = "DELETE FROM broker.consumers WHERE holder = $1 AND number = $2"


class PostgresConsumer:
    """See `Consumer`."""

    def __init__(
        self,
        *,
        session: Session,
        keeper: LeaseKeeper,
        settler: Settler,
        queue: str,
        number: int,
        prefetch: int,
    ) -> None:
        self.queue = queue
        self._session = session
        self._keeper = keeper
        self._settler = settler
        self._number = number
        self._inbox: Inbox[PostgresDelivery] = Inbox(prefetch=prefetch)
        self._to_hand_back: list[PostgresDelivery] = []
        self._wake = asyncio.Event()
        self._backend: Backend | None = None
        self._task = asyncio.create_task(self._run(), name=f"consume-{queue}")

    def __aiter__(self) -> AsyncIterator[Delivery]:
        return self._inbox

    @property
    def alive(self) -> bool:
        """See `Consumer.alive`: registered with a session that stands."""
        return (
            self._backend is not None
            and self._backend is self._session.link.connection
            and not self._inbox.closed
        )

    @property
    def ended(self) -> bool:
        """Whether it is closed."""
        return self._task.done()

    def wake(self) -> None:
        """There may be something to take."""
        self._wake.set()

    def pause(self) -> None:
        """See `Consumer.pause`."""
        self._inbox.pause()

    def resume(self, *, at_most: int | None = None) -> None:
        """See `Consumer.resume`."""
        self._inbox.resume(at_most=at_most)
        self._wake.set()

    async def close(self) -> None:
        """See `Consumer.close`."""
        self._to_hand_back += self._inbox.close()
        if self._backend is None:
            await self.abandon()
            return
        self._wake.set()
        # Not cancelled: what a take on its way brings has to be handed back as well.
        _, unfinished = await asyncio.wait({self._task}, timeout=_CLOSE_TIMEOUT_S)
        if unfinished:
            await self.abandon()

    async def abandon(self) -> None:
        """End at once: what was taken comes back when the session is gone."""
        self._inbox.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        backoff = Backoff()
        while not self._inbox.closed:
            backend = await self._session.link.wait()
            try:
                await self._session.run(
                    lambda c, b=backend: c.execute(_REGISTER, b.holder, self._number, self.queue),  # type: ignore[misc]
                    timeout_s=_TIMEOUT_S,
                )
                self._backend = backend
                backoff.reset()
                log.info("consumer.open", queue=self.queue)
                while self.alive:
                    await self._turn(backend)
                if self._inbox.closed:
                    await self._leave(backend)
            except BrokerUnavailable as error:
                log.warning("consumer.lost", queue=self.queue, reason=str(error))
            except Exception:
                # A consumer that ended here would look like an empty queue, for ever.
                log.exception("consumer.failed", queue=self.queue)
            self._backend = None
            for delivery in self._inbox.clear():
                # Never handed out, and freed with the session that held it.
                self._keeper.release(delivery)
            if not self._inbox.closed:
                await asyncio.sleep(backoff.next_s())

    async def _leave(self, backend: Backend) -> None:
        for delivery in self._to_hand_back:
            self._keeper.release(delivery)
        await asyncio.gather(*(delivery.hand_back() for delivery in self._to_hand_back))
        await self._session.run(
            lambda c: c.execute(_UNREGISTER, backend.holder, self._number), timeout_s=_TIMEOUT_S
        )

    async def _turn(self, backend: Backend) -> None:
        self._wake.clear()
        wait_s = POLL_S
        if room := self._inbox.room:
            leases = await take(self._session, self.queue, limit=room, holder=backend.holder)
            for lease in leases:
                delivery = PostgresDelivery(
                    lease, queue=self.queue, settler=self._settler, freed=self._on_freed
                )
                self._keeper.hold(delivery)
                if not self._inbox.put(delivery):
                    self._to_hand_back.append(delivery)
            if leases:
                return
            due_s = await next_due_s(self._session, self.queue)
            wait_s = POLL_S if due_s is None else min(POLL_S, due_s)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), wait_s)

    def _on_freed(self, delivery: PostgresDelivery) -> None:
        self._keeper.release(delivery)
        self._inbox.finished()
        self._wake.set()
