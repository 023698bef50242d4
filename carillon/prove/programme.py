"""Which scenarios are played, in which order, and what comes of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from carillon.embedded.account import account_for
from carillon.machine import Machine, describe_machine
from carillon.prove.nursery import Nursery
from carillon.prove.report import ProofReport, ScenarioReport, common_complaints
from carillon.prove.scenario import Scenario, Size
from carillon.prove.scenarios.all import SCENARIOS
from carillon.prove.small_disk import SmallDisk, available, small_disk
from carillon.prove.stand import Stand
from carillon.prove.witness.verdict import Verdict
from carillon.setup_error import SetupError

_DISK_BYTES = 400 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Programme:
    """What to do. `only`: numbers of scenarios; none: all of the size. `rabbitmq`: or the PostgreSQL broker.
    `command` is what somebody types who wants the same again."""

    size: Size
    seed: int
    rabbitmq: bool
    command: str
    only: frozenset[int] = frozenset()

    @property
    def scenarios(self) -> list[Scenario]:
        """Those to be played, by number."""
        return [
            scenario
            for scenario in SCENARIOS
            if (scenario.number in self.only if self.only else self.size in scenario.sizes)
        ]


class Proof:
    """One programme under way. `say` is told what happens, `show` is given each scenario's report."""

    def __init__(
        self,
        programme: Programme,
        *,
        folder: Path,
        say: Callable[[str], None],
        show: Callable[[ScenarioReport], None],
    ) -> None:
        self._programme = programme
        self._folder = folder
        self._say = say
        self._show = show
        self._nursery = Nursery(folder)
        self._played: list[ScenarioReport] = []
        self._afterwards: list[Verdict] = []
        self._complaints: list[str] = []
        self._machine: Machine | None = None

    def run(self) -> ProofReport:
        """From the first to the last scenario. Raises SetupError where the stand cannot be put up."""
        started_at, begun = datetime.now(UTC), time.monotonic()
        usual = [scenario for scenario in self._programme.scenarios if not scenario.on_a_small_disk]
        try:
            self._nursery.open()
            if usual:
                self._play(usual, folder=self._folder / "stand", disk=None)
            for scenario in self._programme.scenarios:
                if scenario.on_a_small_disk:
                    self._play_on_a_small_disk(scenario)
        finally:
            self._nursery.close()
        return ProofReport(
            command=self._programme.command,
            broker="RabbitMQ" if self._programme.rabbitmq else "PostgreSQL",
            size=self._programme.size,
            seed=self._programme.seed,
            started_at=started_at.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - begun, 1),
            machine=self._machine or describe_machine({}),
            scenarios=sorted(self._played, key=lambda report: report.number),
            afterwards=self._afterwards,
            complaints=self._complaints,
        )

    def _play(self, scenarios: Sequence[Scenario], *, folder: Path, disk: SmallDisk | None) -> None:
        rabbitmq = self._programme.rabbitmq
        self._say(f"Starting PostgreSQL, Redis, {'RabbitMQ, ' if rabbitmq else ''}the providers.")
        with Stand(
            folder,
            nursery=self._nursery,
            rabbitmq=rabbitmq,
            size=self._programme.size,
            seed=self._programme.seed,
            disk=disk,
        ) as stand:
            self._machine = self._machine or describe_machine(stand.servers.versions())
            for scenario in scenarios:
                self._say(f"{scenario.number:2d} {scenario.name}: {scenario.says}")
                self._note(stand.play(scenario))
            if self._programme.size is Size.SMALL and len(scenarios) == 1:
                return  # nothing has had time to come late
            try:
                verdict = stand.look_back()
            except SetupError as error:
                self._complaints.append(f"afterwards: {error}")
            else:
                self._afterwards.append(verdict)
                found = common_complaints(verdict, scenario=None, doubts_ceiling=0)
                self._complaints += [f"afterwards: {complaint}" for complaint in found]

    def _play_on_a_small_disk(self, scenario: Scenario) -> None:
        reason = available()
        if reason is not None:
            self._note(ScenarioReport.not_played(scenario, reason=reason))
            return
        folder = self._folder / "disk"
        folder.mkdir(mode=0o755)
        with small_disk(folder, size=_DISK_BYTES, account=account_for("postgres", "nobody")) as disk:
            self._play([scenario], folder=self._folder / "stand-on-disk", disk=disk)

    def _note(self, report: ScenarioReport) -> None:
        self._played.append(report)
        self._show(report)
