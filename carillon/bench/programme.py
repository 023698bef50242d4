"""Which parts are measured, and in which order, each system on servers of the same run."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from carillon.bench.accept import accept_alone
from carillon.bench.backlog import measure_backlog
from carillon.bench.end_to_end import EndToEnd, end_to_end
from carillon.bench.generator import Load
from carillon.bench.idle import measure_idle
from carillon.bench.installation import Setting, running_installation
from carillon.bench.ladder import Ladder, pace_of
from carillon.bench.pipeline import running_pipeline
from carillon.bench.profiler import Profiler
from carillon.bench.report import Report, completed
from carillon.bench.servers import BenchServers, running_servers
from carillon.bench.sinks import Sink, SinkKind, running_sink
from carillon.bench.stand import Stand
from carillon.bench.storage import StorageMeter
from carillon.bench.targets import PIPELINE, RABBITMQ
from carillon.machine import describe_machine

RECIPIENTS = 10_000
PACE_PER_S = 500.0


class Part(StrEnum):
    """What can be measured."""

    ACCEPT = "accept"
    END_TO_END = "end-to-end"
    PACED = "paced"
    BACKLOG = "backlog"
    IDLE = "idle"


class Transport(StrEnum):
    """What carries messages between Carillon's services."""

    RABBITMQ = RABBITMQ
    POSTGRES = "postgres"


@dataclass(frozen=True, kw_only=True)
class Programme:
    """What is asked for. `count` notifications in each run, end to end `repeat` times; `backlog` is the
    number that is to pile up; `sink` names one, where it is not to be the best there is."""

    parts: frozenset[Part]
    transports: tuple[Transport, ...]
    count: int
    repeat: int
    backlog: int
    pipeline: bool
    profile: bool
    sink: SinkKind | None


Say = Callable[[str], None]


def run_programme(programme: Programme, *, folder: Path, say: Say) -> Report:
    """All of it; `say` is told what is being done. Raises SetupError."""
    with running_servers(folder) as servers, running_sink(folder, kind=programme.sink) as sink:
        bench = _Bench(programme, servers=servers, sink=sink, folder=folder, say=say)
        report = Report(machine=describe_machine({}))
        for number, transport in enumerate(programme.transports):
            report = bench.measure_carillon(report, transport, is_first=number == 0)
        if programme.pipeline:
            report = bench.measure_pipeline(report)
        versions = {**report.machine.versions, **servers.versions()}
        machine = msgspec.structs.replace(report.machine, versions=versions)
        return completed(msgspec.structs.replace(report, machine=machine))


class _Bench:
    def __init__(
        self, programme: Programme, *, servers: BenchServers, sink: Sink, folder: Path, say: Say
    ) -> None:
        self._programme, self._servers, self._sink = programme, servers, sink
        self._folder, self._say = folder, say

    def measure_carillon(self, report: Report, transport: Transport, *, is_first: bool) -> Report:
        """On one transport: all parts on the first, the others end to end, in backlog and idle."""
        parts = self._programme.parts - (frozenset() if is_first else {Part.ACCEPT, Part.PACED})
        if not parts:
            return report
        with self._carillon(transport) as stand:
            if Part.IDLE in parts:
                self._say(f"{transport.value}: idle")
                report.idle.append(measure_idle(stand))
            if Part.END_TO_END in parts:
                report.end_to_end.extend(self._end_to_end(stand))
            if self._programme.profile and is_first:
                self._say(f"{transport.value}: end to end, profiled")
                with Profiler(stand.system.own, folder=self._folder) as profiler:
                    report.profiled.append(end_to_end(stand, Load(count=self._programme.count)))
                report.profiles.extend(profiler.profiles())
            if Part.PACED in parts:
                self._say(f"{transport.value}: {PACE_PER_S:.0f}/s")
                report.paced.append(end_to_end(stand, Load(count=self._programme.count, rate=PACE_PER_S)))
            if Part.BACKLOG in parts:
                self._say(f"{transport.value}: a backlog of {self._programme.backlog}")
                report.backlog.append(
                    measure_backlog(stand, self._servers.postgres, count=self._programme.backlog)
                )
            if Part.ACCEPT in parts:
                self._say(f"{transport.value}: accepting alone")
                report.accept.extend(accept_alone(stand, self._servers.postgres, count=self._programme.count))
        pace = pace_of(report.end_to_end) if is_first else None
        if pace is not None:
            self._say("the same mails with and without the guarantees")
            ladder = Ladder(servers=self._servers, sink=self._sink, folder=self._folder)
            report.ladder.extend(ladder.climb(count=self._programme.count, pace=pace))
        return report

    def measure_pipeline(self, report: Report) -> Report:
        """End to end, as often and as many."""
        self._say("starting the pipeline")
        self._servers.forget_installation()
        with running_pipeline(
            self._folder / PIPELINE, servers=self._servers, sink=self._sink, recipients=RECIPIENTS
        ) as system:
            stand = Stand(
                system,
                broker=RABBITMQ,
                servers=self._servers.pids(),
                storage=StorageMeter(self._servers.postgres),
                sink=self._sink,
                folder=self._folder,
            )
            stand.warm_up()
            report.end_to_end.extend(self._end_to_end(stand))
        return report

    def _end_to_end(self, stand: Stand) -> Iterator[EndToEnd]:
        for number in range(self._programme.repeat):
            self._say(f"{stand.system.name} on {stand.broker}: end to end, run {number + 1}")
            yield end_to_end(stand, Load(count=self._programme.count))

    @contextlib.contextmanager
    def _carillon(self, transport: Transport) -> Iterator[Stand]:
        self._say(f"{transport.value}: starting Carillon")
        self._servers.forget_installation()
        rabbitmq = transport is Transport.RABBITMQ
        setting = Setting(
            folder=self._folder / f"carillon-{transport.value}",
            servers=self._servers,
            broker_url=self._servers.rabbitmq_url("carillon") if rabbitmq else None,
            environment=self._sink.environment(),
            recipients=RECIPIENTS,
        )
        with running_installation(setting) as system:
            servers: Mapping[str, int] = self._servers.pids()
            if not rabbitmq:
                servers = {name: pid for name, pid in servers.items() if name != RABBITMQ}
            stand = Stand(
                system,
                broker=transport.value,
                servers=servers,
                storage=StorageMeter(self._servers.postgres, addresses=system.addresses),
                sink=self._sink,
                folder=self._folder,
            )
            stand.warm_up()
            yield stand
