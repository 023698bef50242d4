"""Everything that was measured."""

import msgspec

from carillon.bench.accept import Accepting
from carillon.bench.backlog import Backlog
from carillon.bench.end_to_end import EndToEnd
from carillon.bench.guarantees import Guarantees, summed_up
from carillon.bench.idle import Idle
from carillon.bench.ladder import Climbed
from carillon.bench.profiler import Profile
from carillon.bench.targets import CARILLON, Comparison, Target, compared, targets
from carillon.machine import Machine

_MOST_ELSEWHERE_CORES = 0.4


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the JSON file holds. Every list is empty where its part was not asked for. `profiled` are the
    runs that py-spy watched, which slows them: they count for what was lost, and for no figure. `ladder`
    followed the first system's runs."""

    machine: Machine
    end_to_end: list[EndToEnd] = []
    paced: list[EndToEnd] = []
    ladder: list[Climbed] = []
    accept: list[Accepting] = []
    backlog: list[Backlog] = []
    idle: list[Idle] = []
    profiled: list[EndToEnd] = []
    profiles: list[Profile] = []
    comparison: Comparison | None = None
    guarantees: Guarantees | None = None
    targets: list[Target] = []

    @property
    def is_whole(self) -> bool:
        """Whether everything that was accepted arrived, and once."""
        accounts = [run.account for run in self.end_to_end + self.paced + self.profiled]
        accounts += [run.account for run in self.backlog] + [rung.account for rung in self.ladder]
        return all(each.is_whole for each in accounts) and all(run.is_whole for run in self.accept)

    @property
    def is_disturbed(self) -> bool:
        """Whether other work on the machine took part in a run, and so in a rate or in the comparison: more
        than the load generator and the kernel need."""
        elsewhere = [run.elsewhere for run in self.end_to_end + self.paced]
        elsewhere += [run.elsewhere for run in self.backlog]
        return max(elsewhere, default=0) > _MOST_ELSEWHERE_CORES


def completed(report: Report) -> Report:
    """With the comparison, the price of the guarantees and the targets worked out."""
    followed = report.end_to_end[0] if report.end_to_end else None
    ours = [
        run
        for run in report.end_to_end
        if followed is not None and (run.system, run.broker) == (CARILLON, followed.broker)
    ]
    return msgspec.structs.replace(
        report,
        comparison=compared(report.end_to_end),
        guarantees=summed_up(ours, report.ladder),
        targets=targets(
            end_to_end=report.end_to_end, paced=report.paced, backlog=report.backlog, idle=report.idle
        ),
    )
