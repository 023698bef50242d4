"""How Carillon stands, for somebody who looks: each part by itself, so that one that fails hides no other.

What is dear is asked seldom: a part that took long is kept for twenty times as long, so that looking never
takes more than a twentieth of the database's time. What could not be had is asked for again soon.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import structlog

from gateway_service.domain.access import Principal
from gateway_service.domain.failures import Failures
from gateway_service.storage.overview import (
    LaneOutbox,
    MinuteCount,
    count_doubtful,
    count_lanes,
    count_minutes,
    minutes_before,
)
from shared.broker.interface import Broker, BrokerError, QueueState
from shared.broker.topology import lane_queue
from shared.contracts.channels import Channel, Lane
from shared.contracts.http.failures import FailureFilter, FailureSummary
from shared.database.engine import Database
from shared.database.errors import DatabaseError
from shared.process.clock import Clock

log = structlog.get_logger()

MINUTES = 5
MOST_RECENT = 50_000
MOST_IN_LANE = 10_000
MOST_UNKNOWN = 10_000
_LEISURE = 20
_FAILED_KEPT_S = 5.0
_WITHIN_S = 4.0
_BROKER_WITHIN_S = 1.5
_LANES = tuple((channel, lane) for channel in Channel for lane in Lane)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ServiceState:
    """What a service says of itself at /ready. `status`: ready, not_ready or no_answer. `missing`: what it
    lacks, in its words; `breakers`: name and what is the matter, None where it is closed."""

    name: str
    status: str
    missing: tuple[tuple[str, str], ...]
    breakers: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, kw_only=True)
class LaneState:
    """A lane in the outbox and at the broker; `queue` is None where the broker does not answer."""

    outbox: LaneOutbox
    queue: QueueState | None

    @property
    def is_at_rest(self) -> bool:
        """Whether there is nothing in it, and somebody waits for what comes."""
        queue = self.queue
        return self.outbox.is_empty and queue is not None and not queue.depth and queue.consumers > 0


@dataclass(frozen=True, kw_only=True)
class Part(Generic[T]):
    """What is known of a part, asked for at `at`: `value`, or in words why there is none."""

    at: datetime
    value: T | None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class OverviewState:
    """Everything; `at`: when the oldest part of it was asked for."""

    at: datetime
    minutes: Part[list[MinuteCount]]
    lanes: Part[list[LaneState]]
    unknown: Part[int]
    parked: Part[FailureSummary]
    services: Part[Sequence[ServiceState]]


class Kept(Generic[T]):
    """What `ask` answers, asked again once it is older than `fresh_s`, or than twenty times what asking
    took; than 5 s at most, where there was no answer."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[T]],
        *,
        clock: Clock,
        fresh_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._fresh_s = fresh_s
        self._monotonic = monotonic
        self._part: Part[T] | None = None
        self._ask_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def part(self) -> Part[T]:
        """As it is known."""
        async with self._one_at_a_time:
            if self._part is None or self._monotonic() >= self._ask_at:
                began = self._monotonic()
                self._part = await self._asked()
                now = self._monotonic()
                pause_s = max(self._fresh_s, _LEISURE * (now - began))
                if self._part.problem is not None:
                    pause_s = min(pause_s, _FAILED_KEPT_S)
                self._ask_at = now + pause_s
            return self._part

    async def _asked(self) -> Part[T]:
        at = self._clock.now()
        try:
            async with asyncio.timeout(_WITHIN_S):
                return Part(at=at, value=await self._ask())
        except TimeoutError:
            problem = f"No answer within {_WITHIN_S:g} s."
        except DatabaseError:
            problem = "The database does not answer."
        except Exception:
            log.exception("overview.part_failed")
            problem = "This cannot be shown: an error of ours, which was logged."
        return Part(at=at, value=None, problem=problem)


class Overview:
    """Asks everybody. `viewer`: for whom parked failures are counted. `services` asks them all, in a second
    or two."""

    def __init__(
        self,
        *,
        database: Database,
        broker: Broker,
        failures: Failures,
        viewer: Principal,
        services: Callable[[], Awaitable[Sequence[ServiceState]]],
        clock: Clock,
        fresh_s: float = 1.0,
    ) -> None:
        self._database = database
        self._broker = broker
        self._clock = clock
        self._minutes = Kept(self._count_minutes, clock=clock, fresh_s=fresh_s)
        self._lanes = Kept(self._look_at_lanes, clock=clock, fresh_s=fresh_s)
        self._unknown = Kept(self._count_unknown, clock=clock, fresh_s=fresh_s)
        self._parked = Kept(lambda: failures.summary(FailureFilter(), viewer), clock=clock, fresh_s=fresh_s)
        # Each of them asks its own dependencies in turn.
        self._services = Kept(services, clock=clock, fresh_s=5 * fresh_s)

    async def state(self) -> OverviewState:
        """As it is now, or was a moment ago. Raises nothing that a dependency can cause."""
        minutes, lanes, unknown, parked, services = await asyncio.gather(
            self._minutes.part(),
            self._lanes.part(),
            self._unknown.part(),
            self._parked.part(),
            self._services.part(),
        )
        return OverviewState(
            at=min(part.at for part in (minutes, lanes, unknown, parked, services)),
            minutes=minutes,
            lanes=lanes,
            unknown=unknown,
            parked=parked,
            services=services,
        )

    async def _count_minutes(self) -> list[MinuteCount]:
        since = minutes_before(self._clock.now(), MINUTES)
        async with self._database.connection() as connection:
            return await count_minutes(connection, since=since, most=MOST_RECENT)

    async def _count_unknown(self) -> int:
        async with self._database.connection() as connection:
            return await count_doubtful(connection, most=MOST_UNKNOWN)

    async def _look_at_lanes(self) -> list[LaneState]:
        queues = await asyncio.gather(*(self._queue(channel, lane) for channel, lane in _LANES))
        async with self._database.connection() as connection:
            outbox = await count_lanes(connection, _LANES, most=MOST_IN_LANE)
        return [LaneState(outbox=entries, queue=queue) for entries, queue in zip(outbox, queues, strict=True)]

    async def _queue(self, channel: Channel, lane: Lane) -> QueueState | None:
        try:
            async with asyncio.timeout(_BROKER_WITHIN_S):
                return await self._broker.queue_state(lane_queue(channel, lane))
        except (BrokerError, TimeoutError):
            return None
