"""PostgreSQL behind the interface: three sessions, and what works over them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import count

from shared.broker.feed import broadcast_text
from shared.broker.interface import Consumer, Message, QueueState, Receipt, Subscription
from shared.broker.postgres.consumer import PostgresConsumer
from shared.broker.postgres.leases import LIVE_HOLDERS, LeaseKeeper
from shared.broker.postgres.listener import BROADCAST_CHANNEL, Listener, PostgresSubscription
from shared.broker.postgres.publisher import PostgresPublisher
from shared.broker.postgres.session import Session
from shared.broker.postgres.settlement import Settler
from shared.process.tasks import supervise

_ASK_TIMEOUT_S = 2.0
_STATE = f"""
SELECT count(*) AS depth,
    coalesce(extract(epoch FROM now() - min(available_at)), 0)::float8 AS oldest_age_s,
    (SELECT count(*) FROM broker.consumers WHERE queue = $1 AND holder = ANY ({LIVE_HOLDERS})) AS consumers
FROM broker.messages WHERE queue = $1 AND available_at <= now()
"""  # noqa: S608 -- what is put in is constant


class PostgresBroker:
    """See `Broker`. The database is created where it does not exist and the server lets us."""

    def __init__(self, url: str, *, client_name: str, publish_timeout_s: float = 10.0) -> None:
        self._consumers: list[PostgresConsumer] = []
        self._subscriptions: list[PostgresSubscription] = []
        self._numbers = count(1)
        self._listener = Listener(self._wake)
        self._asking = Session(
            url, client_name=client_name, purpose="listen", lazy_commit=False, prepare=self._listener.prepare
        )
        self._publishing = Session(url, client_name=client_name, purpose="publish", lazy_commit=False)
        self._consuming = Session(url, client_name=client_name, purpose="consume", lazy_commit=True)
        self._publisher = PostgresPublisher(self._publishing, timeout_s=publish_timeout_s)
        self._settler = Settler(self._consuming)
        self.leases = LeaseKeeper(self._consuming)
        self._watching: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self, *, wait_s: float | None) -> None:
        """See `Broker.start`."""
        self._asking.link.start()
        self._publishing.link.start()
        self._publisher.start()
        self._watching = asyncio.create_task(
            supervise("broker.watch", lambda: self._listener.watch(self._asking))
        )
        if wait_s is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await asyncio.gather(self._asking.link.wait(), self._publishing.link.wait())

    async def close(self) -> None:
        """See `Broker.close`."""
        await asyncio.gather(*(consumer.close() for consumer in self._consumers))
        self.leases.give_up_all()
        await self._settler.close(timeout_s=1.0)
        for task in (self._keeping, self._watching):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for subscription in self._subscriptions:
            await subscription.close()
        await self._publisher.close()
        for session in (self._consuming, self._publishing, self._asking):
            await session.link.close()

    async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
        """See `Broker.publish`."""
        return await self._publisher.publish(messages)

    def consume(self, queue: str, *, prefetch: int) -> Consumer:
        """See `Broker.consume`."""
        self._consuming.link.start()
        self._settler.start()
        if self._keeping is None:
            self._keeping = asyncio.create_task(supervise("broker.leases", self.leases.run))
        consumer = PostgresConsumer(
            session=self._consuming,
            keeper=self.leases,
            settler=self._settler,
            queue=queue,
            number=next(self._numbers),
            prefetch=prefetch,
        )
        self._consumers = [*(known for known in self._consumers if not known.ended), consumer]
        return consumer

    async def broadcast(self, body: bytes) -> None:
        """See `Broker.broadcast`."""
        text = broadcast_text(body)
        await self._asking.run(
            lambda c: c.execute("SELECT pg_notify($1, $2)", BROADCAST_CHANNEL, text), timeout_s=_ASK_TIMEOUT_S
        )

    def subscribe(self) -> Subscription:
        """See `Broker.subscribe`."""
        subscription = PostgresSubscription(
            self._listener, listening=self._asking.link.connection is not None
        )
        self._subscriptions.append(subscription)
        return subscription

    async def queue_state(self, queue: str) -> QueueState:
        """See `Broker.queue_state`."""
        row = await self._asking.run(lambda c: c.fetchrow(_STATE, queue), timeout_s=_ASK_TIMEOUT_S)
        return QueueState(depth=row["depth"], oldest_age_s=row["oldest_age_s"], consumers=row["consumers"])

    async def epoch(self) -> str | None:
        """See `Broker.epoch`."""
        epoch: str | None = await self._asking.run(
            lambda c: c.fetchval("SELECT epoch FROM broker.sentinel"), timeout_s=_ASK_TIMEOUT_S
        )
        return epoch

    async def write_epoch(self, epoch: str) -> None:
        """See `Broker.write_epoch`."""
        await self._asking.run(
            lambda c: c.execute(
                "INSERT INTO broker.sentinel (epoch) VALUES ($1) ON CONFLICT DO NOTHING", epoch
            ),
            timeout_s=_ASK_TIMEOUT_S,
        )

    async def ping(self) -> None:
        """See `Broker.ping`."""
        await self._asking.run(lambda c: c.execute("SELECT 1"), timeout_s=_ASK_TIMEOUT_S)

    def _wake(self, queue: str | None) -> None:
        for consumer in self._consumers:
            if queue is None or queue == consumer.queue:
                consumer.wake()
