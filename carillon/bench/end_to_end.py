"""From the POST to the mail at the sink, as fast as it goes or at an even pace."""

import msgspec

from carillon.bench.accounting import Account, account
from carillon.bench.figures import Latency, latency, per_second
from carillon.bench.generator import Load
from carillon.bench.meter import Cost
from carillon.bench.stand import Observation, Stand
from carillon.bench.storage import Storage


class EndToEnd(msgspec.Struct, frozen=True, kw_only=True):
    """One load, seen at both ends.

    Rates are counted from the first request to the last answer, or mail; latencies from the time at which
    a request was due, which at an even `rate` is not when it was sent. `own_cpu_ms` is the processor time
    of the system's `own` processes for each mail, `elsewhere` the number of cores that others kept busy.
    `storage` is what all of it has cost PostgreSQL.
    """

    system: str
    broker: str
    sink: str
    count: int
    rate: float | None
    account: Account
    accepted_per_s: float
    sent_per_s: float
    accept: Latency | None
    to_sink: Latency | None
    own: list[str]
    own_cpu_ms: float
    own_memory_mb: float
    cost: dict[str, Cost]
    elsewhere: float
    load_cpu_s: float
    storage: Storage


def end_to_end(stand: Stand, load: Load) -> EndToEnd:
    """Send it, and tell."""
    return told(stand, stand.send(load))


def told(stand: Stand, seen: Observation) -> EndToEnd:
    """What was seen, in figures."""
    cost = seen.reading.cost
    result, arrivals, own = seen.result, seen.arrivals, list(stand.system.own)
    due = {each: answer.due_ns for answer in result.answers for each in answer.ids}
    last_ns = max((each.at_ns for each in arrivals), default=result.started_ns)
    return EndToEnd(
        system=stand.system.name,
        broker=stand.broker,
        sink=stand.sink.name,
        count=seen.load.count,
        rate=seen.load.rate,
        account=account(
            asked=seen.load.count,
            accepted=result.accepted_ids(),
            unanswered=seen.load.unanswered(result),
            arrived=[each.notification_id for each in arrivals],
        ),
        accepted_per_s=per_second(len(due), start_ns=result.started_ns, end_ns=result.ended_ns),
        sent_per_s=per_second(len(arrivals), start_ns=result.started_ns, end_ns=last_ns),
        accept=latency(result.latencies_ns()),
        to_sink=latency(
            [each.at_ns - due[each.notification_id] for each in arrivals if each.notification_id in due]
        ),
        own=own,
        own_cpu_ms=1000 * sum(cost[name].cpu_s for name in own) / max(1, len(arrivals)),
        own_memory_mb=sum(cost[name].memory_mb for name in own),
        cost=cost,
        elsewhere=seen.reading.elsewhere,
        load_cpu_s=result.cpu_s,
        storage=seen.storage,
    )
