"""Accepting alone: the email service is held still meanwhile (SIGSTOP), so that only the way in works.

What is accepted here is thrown away with the installation. It is checked against the gateway's database
instead: as many notifications are stored as were accepted.
"""

import contextlib
import os
import signal
from collections.abc import Iterator

import msgspec

from carillon.bench.figures import Latency, latency, per_second
from carillon.bench.generator import Load
from carillon.bench.meter import Cost
from carillon.bench.stand import Stand
from carillon.embedded.postgres import EmbeddedPostgres

BATCH = 1000
_CONNECTIONS = 64
_STORED = "SELECT count(*) FROM notifications"
_DATABASE = "gateway_db"
_LOAD_WITHIN_S = 600.0
_SHARE_ON_ONE = 5
# Three for each connection take 18 s at 11,000 recipients a second; the most take 23 s.
_USUAL_COUNT = 10_000
_USUAL_BATCHES = 3 * _CONNECTIONS
_MOST_BATCHES = 250


class Accepting(msgspec.Struct, frozen=True, kw_only=True):
    """`count` notifications in so many `requests`, `batch` in each; `latency` is a request's."""

    connections: int
    requests: int
    batch: int
    count: int
    accepted: int
    stored: int
    per_s: float
    latency: Latency | None
    own_cpu_ms: float
    cost: dict[str, Cost]

    @property
    def is_whole(self) -> bool:
        """Everything was accepted and stored."""
        return self.count == self.accepted == self.stored


def loads(count: int) -> list[Load]:
    """One connection and 64, singles and whole batches. One connection alone is slow: it gets a fifth. Where
    there are fewer than 64 requests, there are as many connections as requests."""
    few, batches = max(1, count // _SHARE_ON_ONE), max(1, 2 * count // BATCH)
    many = min(_MOST_BATCHES, max(1, _USUAL_BATCHES * count // _USUAL_COUNT))
    return [
        Load(count=few, connections=1),
        Load(count=count, connections=min(_CONNECTIONS, count)),
        Load(count=batches * BATCH, connections=1, batch=BATCH),
        Load(count=many * BATCH, connections=min(_CONNECTIONS, many), batch=BATCH),
    ]


def accept_alone(stand: Stand, server: EmbeddedPostgres, *, count: int) -> list[Accepting]:
    """Each of `loads`. The installation is of no use afterwards."""
    with _held(stand.system.own["email"]):
        return [_accept(stand, server, load) for load in loads(count)]


def _accept(stand: Stand, server: EmbeddedPostgres, load: Load) -> Accepting:
    before = int(server.run_sql(_STORED, database=_DATABASE))
    with stand.generating(load) as generator:
        stand.meter.reset()
        result = generator.wait(timeout_s=_LOAD_WITHIN_S)
    stand.meter.wait_quiet()
    cost = stand.meter.read().cost
    accepted = len(set(result.accepted_ids()))
    own_cpu_s = sum(cost[name].cpu_s for name in stand.system.own)
    return Accepting(
        connections=load.connections,
        requests=load.requests,
        batch=load.batch,
        count=load.count,
        accepted=accepted,
        stored=int(server.run_sql(_STORED, database=_DATABASE)) - before,
        per_s=per_second(accepted, start_ns=result.started_ns, end_ns=result.ended_ns),
        latency=latency(result.latencies_ns()),
        own_cpu_ms=1000 * own_cpu_s / max(1, accepted),
        cost=cost,
    )


@contextlib.contextmanager
def _held(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
