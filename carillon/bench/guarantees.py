"""What the guarantees cost: the sum of what the runs and the ladder have shown, for one mail."""

from collections.abc import Sequence
from statistics import median

import msgspec

from carillon.bench.end_to_end import EndToEnd
from carillon.bench.ladder import Climbed, Rung


class Guarantees(msgspec.Struct, frozen=True, kw_only=True):
    """Processor time for each mail, in milliseconds, of our own processes and of PostgreSQL.

    `own_ms` and `postgres_ms` are those of a whole run (`broker` names its transport; medians of all runs at
    full speed). Of these, by the ladder: `mail_ms` goes into rendering the mail and handing it over,
    `ledger_ms` into claims and settlements, `outbox_ms` into storing notification, key and outbox entry
    before the 202, and into reports and receipts afterwards; `postgres_guarantees_ms` is PostgreSQL's for
    all of these. The rest is what carries a mail from service to service: HTTP, look-ups, broker, logs.
    `commits` and `wal_bytes` are PostgreSQL's of the whole run, whatever they were for.
    """

    broker: str
    own_ms: float
    mail_ms: float
    ledger_ms: float
    outbox_ms: float
    postgres_ms: float
    postgres_guarantees_ms: float
    commits: float
    wal_bytes: float

    @property
    def guarantees_ms(self) -> float:
        """Of our own processes."""
        return self.ledger_ms + self.outbox_ms

    @property
    def share(self) -> float:
        """Of `own_ms`, for the guarantees."""
        return self.guarantees_ms / self.own_ms if self.own_ms else 0.0

    @property
    def rest_ms(self) -> float:
        """Of our own processes, neither for the mail itself nor for the guarantees."""
        return self.own_ms - self.mail_ms - self.guarantees_ms


def summed_up(runs: Sequence[EndToEnd], ladder: Sequence[Climbed]) -> Guarantees | None:
    """`runs` are those of the system and transport that the ladder followed; None where one of the two was
    not measured."""
    rungs = {each.rung: each for each in ladder}
    if not runs or rungs.keys() != set(Rung):
        return None
    bare, ledger, guaranteed = rungs[Rung.BARE], rungs[Rung.LEDGER], rungs[Rung.GUARANTEED]
    return Guarantees(
        broker=runs[0].broker,
        own_ms=median(run.own_cpu_ms for run in runs),
        mail_ms=bare.own_cpu_ms,
        ledger_ms=ledger.own_cpu_ms - bare.own_cpu_ms,
        outbox_ms=guaranteed.own_cpu_ms - ledger.own_cpu_ms,
        postgres_ms=median(_each(run, 1000 * run.cost["postgres"].cpu_s) for run in runs),
        postgres_guarantees_ms=guaranteed.postgres_cpu_ms - bare.postgres_cpu_ms,
        commits=median(_each(run, run.storage.commits) for run in runs),
        wal_bytes=median(_each(run, run.storage.wal_bytes) for run in runs),
    )


def _each(run: EndToEnd, spent: float) -> float:
    return spent / max(1, run.account.arrived)
