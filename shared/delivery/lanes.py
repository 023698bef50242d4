"""The consumers of a channel's lanes: paused while no provider can be called."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial

import structlog

from shared.broker.interface import Broker, Consumer, Delivery
from shared.broker.presence import Presence, hide_presence, show_presence
from shared.broker.topology import lane_queue
from shared.contracts.channels import Channel, Lane
from shared.delivery.rota import Passage

log = structlog.get_logger()

PREFETCH_FACTOR = 8
"""Messages taken per provider call in flight: enough that look-ups and claims come in groups."""
LOOK_EVERY_S = 0.25
HOLD_S = 600.0
"""How long a paused consumer keeps what it has prefetched. RabbitMQ takes back after half an hour what nobody
acknowledges. So it is handed back before, once, since that counts as a delivery: until calls can be made
again each lane has a consumer that prefetches a single message, to probe with."""


class Lanes:
    """What comes from the lanes, for as long as a provider can be called.

    While none can, nothing is handed out and messages stay in their queues; when a probe is due one message
    is let through, of the most urgent lane that has any. `passage` tells whether calls can be made.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        channel: Channel,
        shares: Mapping[Lane, int],
        passage: Callable[[], Passage],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._channel = channel
        self._shares = shares
        self._passage = passage
        self._monotonic = monotonic
        self._consumers: dict[Lane, Consumer] = {}
        self._opened: dict[Lane, asyncio.Event] = {lane: asyncio.Event() for lane in shares}
        self._was: Passage = Passage.FREE
        self._free_at = monotonic()
        self._next_prober = 0
        self._let_go = False
        self._closed = False

    @property
    def alive(self) -> bool:
        """Whether every lane has a consumer that the broker knows of, or is left alone on purpose."""
        if self._let_go:
            return True
        return bool(self._consumers) and all(consumer.alive for consumer in self._consumers.values())

    def open(self) -> None:
        """Begin to consume."""
        for lane in self._shares:
            self._open(lane)
            show_presence(lane_queue(self._channel, lane), partial(self._presence, lane))

    async def deliveries(self, lane: Lane) -> AsyncIterator[Delivery]:
        """What comes from a lane, until `close`."""
        while not self._closed:
            consumer = self._consumers.get(lane)
            if consumer is None:
                self._opened[lane].clear()
                await self._opened[lane].wait()
                continue
            async for delivery in consumer:
                yield delivery
            if self._consumers.get(lane) is consumer:
                return  # not by us: the broker is closed

    async def regulate(self) -> None:
        """For ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Do what the passage of this moment asks for."""
        passage, was = self._passage(), self._was
        self._was = passage
        if passage is not was:
            log.warning("lanes.passage", channel=self._channel.value, passage=passage.name.lower())
        match passage:
            case Passage.FREE:
                self._free_at = self._monotonic()
                if passage is not was:
                    await self._resume()
            case Passage.ONE_PROBE:
                self._let_one_through()
            case Passage.BLOCKED:
                if passage is not was:
                    self._pause()
                if not self._let_go and self._monotonic() - self._free_at > HOLD_S:
                    self._let_go = True
                    await self._hand_back()

    async def close(self) -> None:
        """Take nothing more; what was prefetched goes back."""
        self._closed = True
        for lane in self._shares:
            hide_presence(lane_queue(self._channel, lane))
        await self._hand_back()
        for opened in self._opened.values():
            opened.set()

    def _presence(self, lane: Lane) -> Presence:
        consumer = self._consumers.get(lane)
        if consumer is None:
            return Presence.LET_GO if self._let_go else Presence.MISSED
        return Presence.HELD if consumer.alive else Presence.MISSED

    def _open(self, lane: Lane) -> None:
        if lane not in self._consumers and not self._closed:
            prefetch = 1 if self._let_go else self._shares[lane] * PREFETCH_FACTOR
            self._consumers[lane] = self._broker.consume(lane_queue(self._channel, lane), prefetch=prefetch)
            self._opened[lane].set()

    async def _resume(self) -> None:
        if self._let_go:
            self._let_go = False
            await self._hand_back()
        for lane in self._shares:
            self._open(lane)
            self._consumers[lane].resume()

    def _pause(self) -> None:
        for consumer in self._consumers.values():
            consumer.pause()

    def _let_one_through(self) -> None:
        """One lane after the other may give one, the most urgent first: as soon as one has, and its call is
        under way, the passage is blocked again."""
        lanes = list(self._shares)
        chosen = lanes[self._next_prober % len(lanes)]
        self._next_prober += 1
        for lane in lanes:
            self._open(lane)
        self._pause()
        self._consumers[chosen].resume(at_most=1)

    async def _hand_back(self) -> None:
        consumers, self._consumers = self._consumers, {}
        for consumer in consumers.values():
            await consumer.close()
