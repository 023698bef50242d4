"""A backlog: how it drains, what urgent messages meet meanwhile, and whether memory stays flat."""

import time
from collections.abc import Iterable, Sequence

import msgspec

from carillon.bench.accept import BATCH
from carillon.bench.accounting import Account, account
from carillon.bench.figures import Latency, latency, per_second
from carillon.bench.generator import Load
from carillon.bench.journal import Arrival
from carillon.bench.load_plan import LoadResult
from carillon.bench.stand import Collection, Stand
from carillon.embedded.postgres import EmbeddedPostgres

_URGENT_PER_S = 5.0
_URGENT_AT_MOST = 20_000  # more than an hour of them
_BEFORE_S = 1.0
_SAMPLE_EVERY_S = 2.0
_LOAD_WITHIN_S = 1800.0
_SHARES = 10
_ASK_EVERY_S = 1.0
# Urgent messages come all the while: of those, one is often on its way.
_UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL AND lane <> 'urgent'"


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """PSS of all our processes together during the drain, in 10**6 bytes: median of the first and of the
    last tenth of the samples, and the most."""

    first_mb: float
    last_mb: float
    most_mb: float


class Urgent(msgspec.Struct, frozen=True, kw_only=True):
    """From when an urgent message was due to its mail at the sink: of those that were due while the backlog
    was accepted and published, and of those from then to the end of the drain."""

    filling: Latency | None
    draining: Latency | None


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """Rates in the first and last tenth of what was left once the broker had all of it; `elsewhere` is the
    number of cores that others kept busy during the drain."""

    broker: str
    count: int
    account: Account
    accepted_per_s: float
    waiting: int
    drain_per_s: float
    first_per_s: float
    last_per_s: float
    urgent: Urgent
    memory: Memory
    elsewhere: float


def measure_backlog(stand: Stand, server: EmbeddedPostgres, *, count: int) -> Backlog:
    """Accept `count` in batches, much faster than they can be sent, and watch them go; from before the first
    batch to the end five urgent messages a second come in."""
    load = Load(count=count, connections=4, batch=BATCH)
    urgent_load = Load(count=_URGENT_AT_MOST, connections=4, rate=_URGENT_PER_S, priority=9)
    samples: list[float] = []
    collection = stand.collection()
    with stand.generating(urgent_load) as urgent_generator:
        _wait_flowing(collection)
        with stand.generating(load) as generator:
            while generator.running:
                collection.look()
            result = generator.wait(timeout_s=_LOAD_WITHIN_S)
        bulk = set(result.accepted_ids())
        _wait_published(server, collection)
        whole_ns = time.monotonic_ns()
        stand.meter.reset()
        _drain(stand, collection, bulk, samples)
        elsewhere = stand.meter.read().elsewhere
        urgent = urgent_generator.end(timeout_s=_LOAD_WITHIN_S)
    promised = bulk | set(urgent.accepted_ids())
    collection.finish(promised)
    drained = sorted(
        each.at_ns for each in collection.arrivals if each.notification_id in bulk and each.at_ns > whole_ns
    )
    first_per_s, last_per_s = tenths(drained)
    return Backlog(
        broker=stand.broker,
        count=count,
        account=account(
            asked=count + len(urgent.answers),
            accepted=promised,
            unanswered=load.unanswered(result) + urgent_load.unanswered(urgent),
            arrived=[each.notification_id for each in collection.arrivals],
        ),
        accepted_per_s=per_second(len(bulk), start_ns=result.started_ns, end_ns=result.ended_ns),
        waiting=len(drained),
        drain_per_s=_rate(drained),
        first_per_s=first_per_s,
        last_per_s=last_per_s,
        urgent=in_phases(urgent, collection.arrivals, start_ns=result.started_ns, whole_ns=whole_ns),
        memory=summed_up(samples),
        elsewhere=elsewhere,
    )


def in_phases(urgent: LoadResult, arrivals: Iterable[Arrival], *, start_ns: int, whole_ns: int) -> Urgent:
    """By when they were due: filling from `start_ns` on, the first batch, to `whole_ns`, when the broker had
    the last; draining afterwards. What was due before belongs to neither."""
    due = {each: answer.due_ns for answer in urgent.answers for each in answer.ids}
    filling: list[int] = []
    draining: list[int] = []
    for arrival in arrivals:
        due_ns = due.get(arrival.notification_id)
        if due_ns is not None and due_ns >= start_ns:
            (filling if due_ns < whole_ns else draining).append(arrival.at_ns - due_ns)
    return Urgent(filling=latency(filling), draining=latency(draining))


def _wait_flowing(collection: Collection) -> None:
    """Until the first urgent message has arrived, and a second longer."""
    while not collection.seen and not collection.is_stuck:
        collection.look()
    until = time.monotonic() + _BEFORE_S
    while time.monotonic() < until:
        collection.look()


def _wait_published(server: EmbeddedPostgres, collection: Collection) -> None:
    """Until the gateway has given all of it to the broker, which takes CPU from the drain."""
    deadline = time.monotonic() + _LOAD_WITHIN_S
    looked_at = 0.0
    while time.monotonic() < deadline:
        if time.monotonic() - looked_at >= _ASK_EVERY_S:
            looked_at = time.monotonic()
            if int(server.run_sql(_UNPUBLISHED, database="gateway_db")) == 0:
                return
        collection.look()


def tenths(times_ns: Sequence[int]) -> tuple[float, float]:
    """Arrivals a second in the first and in the last tenth of `times_ns`, which ascend."""
    size = max(2, len(times_ns) // _SHARES)
    return _rate(times_ns[:size]), _rate(times_ns[-size:])


def summed_up(samples: Sequence[float]) -> Memory:
    """Of at least one sample; raises ValueError without."""
    if not samples:
        raise ValueError("no samples")
    size = max(1, len(samples) // _SHARES)
    first, last = sorted(samples[:size]), sorted(samples[-size:])
    return Memory(first_mb=first[size // 2], last_mb=last[size // 2], most_mb=max(samples))


def _rate(times_ns: Sequence[int]) -> float:
    if len(times_ns) < 2:
        return 0.0
    return per_second(len(times_ns) - 1, start_ns=times_ns[0], end_ns=times_ns[-1])


def _drain(stand: Stand, collection: Collection, bulk: set[str], samples: list[float]) -> None:
    sampled_at = -_SAMPLE_EVERY_S
    while True:
        if time.monotonic() - sampled_at >= _SAMPLE_EVERY_S:
            sampled_at = time.monotonic()
            samples.append(stand.meter.memory_mb(stand.system.own))
        if bulk <= collection.seen or collection.is_stuck:
            return
        collection.look()
