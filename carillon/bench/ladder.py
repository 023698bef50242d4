"""What the guarantees cost our own processor: the same mails, handed over with and without them.

There is no switch in Carillon that turns a guarantee off. So the mails of an end-to-end run go once more to
the same sink, at the rate that it reached, out of one process that does nothing but what is asked of it, with
the services' own code: bench/ladder/. It climbs three rungs, a process for each:

1. `bare`: render the mail and hand it over by the SMTP provider.
2. `ledger`: claim each attempt before that, and settle it afterwards, in the email service's database.
3. `guaranteed`: accept each notification before that (idempotency key, notification, outbox entry: one commit
   for all that come together), and take over its report afterwards (status moved on, outbox entry closed),
   for which the ledger gets its receipt.

The second less the first is the ledger's price, the third less the first that of all guarantees. What is left
of a whole run's processor time is HTTP, look-ups, broker, logs and the running of several processes. The
notification's row stands on the third rung, though whoever shows a status has to store one anyway; a report's
way through the broker is left out, as everything is that needs a broker. The databases are new. What a commit
costs a mail depends on how many share it: so mails come at the rate of the run, as many together as were
accepted and claimed together in it, and groups have the time to gather that they have in the services. The
report shows how large they were.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median

import msgspec

from carillon.bench.accounting import Account, account
from carillon.bench.end_to_end import EndToEnd
from carillon.bench.figures import per_second
from carillon.bench.groups import ACCEPTANCE, CLAIM, Groups, groups_between, totals
from carillon.bench.population import TEMPLATE
from carillon.bench.servers import BenchServers
from carillon.bench.sinks import Sink
from carillon.bench.stand import Collection
from carillon.bench.wal import read_wal
from carillon.embedded import child
from carillon.home import CHECKOUT
from carillon.migrations import migrate_server
from carillon.setup_error import SetupError

MOST = 5000
"""Mails on each rung; a run of more is not repeated whole."""
_WITHIN_S = 600.0


class Rung(StrEnum):
    """How much is done for each mail; see above."""

    BARE = "bare"
    LEDGER = "ledger"
    GUARANTEED = "guaranteed"


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Mails a second, and how many of them come together: to be accepted, and later to be sent."""

    rate: float
    accepted: int
    sent: int


class ClimbPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is told: hand `count` mails to the SMTP server at `port`. `email_db` and `gateway_db`
    are URLs, `postgres_pid` is the server whose processor time is read."""

    rung: Rung
    count: int
    pace: Pace
    port: int
    email_db: str
    gateway_db: str
    postgres_pid: int
    template: dict[str, str]
    result_file: str


class ClimbResult(msgspec.Struct, frozen=True, kw_only=True):
    """What it gives back. `ids` are those of all notifications, those of its warm-up included, which nothing
    else counts; `metrics` are its own before and after, in the text format of Prometheus; `since` is the end
    of PostgreSQL's log before, empty where that is not used."""

    ids: list[str]
    started_ns: int
    ended_ns: int
    cpu_s: float
    postgres_cpu_s: float
    since: str
    metrics: tuple[str, str]


class Climbed(msgspec.Struct, frozen=True, kw_only=True):
    """One rung, for each mail: processor time of the process and of PostgreSQL, commits and bytes of WAL."""

    rung: Rung
    count: int
    account: Account
    per_s: float
    own_cpu_ms: float
    postgres_cpu_ms: float
    commits: float
    wal_bytes: float
    groups: dict[str, Groups]


def pace_of(runs: Sequence[EndToEnd]) -> Pace | None:
    """That of a system's runs, their medians; None where nothing was sent, or it tells of no groups."""
    groups = [run.storage.groups for run in runs]
    if not runs or not all({ACCEPTANCE, CLAIM} <= found.keys() for found in groups):
        return None
    return Pace(
        rate=median(run.sent_per_s for run in runs),
        accepted=round(median(found[ACCEPTANCE].size for found in groups)),
        sent=round(median(found[CLAIM].size for found in groups)),
    )


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Where it stands; no installation may be running."""

    servers: BenchServers
    sink: Sink
    folder: Path

    def climb(self, *, count: int, pace: Pace) -> Iterator[Climbed]:
        """Each rung, with `count` mails but `MOST` at most. Raises SetupError."""
        self.servers.forget_installation()
        asyncio.run(migrate_server(self.servers.postgres.url, folder=CHECKOUT))
        for rung in Rung:
            yield self._step(rung, count=min(count, MOST), pace=pace)

    def _step(self, rung: Rung, *, count: int, pace: Pace) -> Climbed:
        postgres, collection = self.servers.postgres, Collection(self.sink)
        collection.look()
        collection.arrivals.clear()
        result = self._run(rung, count=count, pace=pace)
        collection.finish(set(result.ids))
        written = read_wal(postgres, since=result.since).values() if result.since else ()
        return Climbed(
            rung=rung,
            count=count,
            account=account(
                asked=len(result.ids),
                accepted=result.ids,
                unanswered=0,
                arrived=[each.notification_id for each in collection.arrivals],
            ),
            per_s=per_second(count, start_ns=result.started_ns, end_ns=result.ended_ns),
            own_cpu_ms=1000 * result.cpu_s / count,
            postgres_cpu_ms=1000 * result.postgres_cpu_s / count,
            commits=sum(each.commits for each in written) / count,
            wal_bytes=sum(each.wal_bytes for each in written) / count,
            groups=groups_between(*(totals([text]) for text in result.metrics)),
        )

    def _run(self, rung: Rung, *, count: int, pace: Pace) -> ClimbResult:
        plan_file, log = self.folder / f"ladder-{rung}.plan", self.folder / f"ladder-{rung}.log"
        result_file = self.folder / f"ladder-{rung}.result"
        plan = ClimbPlan(
            rung=rung,
            count=count,
            pace=pace,
            port=self.sink.port,
            email_db=self.servers.postgres.database_url("email_db"),
            gateway_db=self.servers.postgres.database_url("gateway_db"),
            postgres_pid=self.servers.postgres.pid or 0,
            template=TEMPLATE,
            result_file=str(result_file),
        )
        plan_file.touch(mode=0o600)
        plan_file.write_bytes(msgspec.json.encode(plan))
        process = child.spawn(
            [sys.executable, "-m", "bench.ladder", plan_file],
            log=log,
            death_signal=signal.SIGTERM,
            environment={k: value for k, value in os.environ.items() if not k.startswith("CARILLON_")},
            working_directory=CHECKOUT,
        )
        try:
            code = process.wait(_WITHIN_S)
        except subprocess.TimeoutExpired as error:
            raise SetupError(f"The rung {rung} did not end within {_WITHIN_S:.0f} s (log: {log}).") from error
        finally:
            child.stop(process)
        if code != 0:
            why = child.last_words(log, marks=("Error",))
            raise SetupError(f"The rung {rung} ended with {code}: {why} (log: {log})")
        return msgspec.json.decode(result_file.read_bytes(), type=ClimbResult)
