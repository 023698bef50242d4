"""Everything that a scenario needs, built once and used by one after another."""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from carillon.prove.experiment import Experiment
from carillon.prove.furnishing import TEMPLATES
from carillon.prove.installation import ProofInstallation, Setting
from carillon.prove.layout import Layout
from carillon.prove.nursery import Nursery
from carillon.prove.report import ScenarioReport, common_complaints
from carillon.prove.scenario import Load, Scenario, Size
from carillon.prove.servers import ProofServers
from carillon.prove.small_disk import SmallDisk
from carillon.prove.wires.client import Wires
from carillon.prove.witness.client_plan import ClientPlan
from carillon.prove.witness.control import Control
from carillon.prove.witness.journal import Answered, JournalWriter
from carillon.prove.witness.ledger_plan import LedgerPlan
from carillon.prove.witness.verdict import Verdict
from carillon.prove.witnesses import Bystanders, LoadClient, ask_ledger
from carillon.setup_error import SetupError

_SETTLE_S = 2.0
_LONGER_THAN_ANY_WAIT_S = 12.0
"""Leases, breakers, repeats of reports and of attempts: see `installation.QUICKER`."""
_LOAD_WITHIN_S = 30.0
_STUCK_AFTER_S = 60.0
_LEDGER_PATIENCE_S = 240.0
_CLIENT_GIVES_UP_S = 60.0
_EVERYTHING_AT_MOST_S = 86_400.0
_LOOK_EVERY_S = 0.05


class Stand:
    """Servers, providers, wires, databases, and a nursery for the services.

    `with Stand(…) as stand:`, from the main thread; raises SetupError where something does not start."""

    def __init__(
        self, folder: Path, *, nursery: Nursery, rabbitmq: bool, size: Size, seed: int, disk: SmallDisk | None
    ) -> None:
        folder.mkdir(mode=0o755)
        self.servers = ProofServers(folder, rabbitmq=rabbitmq, disk=disk)
        self._folder = folder
        self._nursery = nursery
        self._size = size
        self._seed = seed
        self._layout = Layout()
        self._bystanders = Bystanders(folder, self._layout)
        self._faults = folder / "faults.journal"
        self._clients: list[Path] = []

    def __enter__(self) -> Self:
        try:
            self.servers.start()
            self._bystanders.start(self.servers.ports())
            self._installation = ProofInstallation(
                folder=self._folder,
                servers=self.servers.addresses(),
                layout=self._layout,
                nursery=self._nursery,
                fcm_account=self._bystanders.fcm_account,
            )
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def play(self, scenario: Scenario) -> ScenarioReport:
        """One scenario, from its services' start to the verdict. What could not be played is red, too."""
        begun = time.monotonic()
        mail, fcm = self._bystanders.mail(), self._bystanders.fcm()
        name = f"s{scenario.number:02d}"
        complaints: list[str] = []
        verdict: Verdict | None = None
        experiment: Experiment | None = None
        with JournalWriter(self._faults) as journal, self._bystanders.wires() as wires:
            try:
                self._installation.open(scenario.setting)
                self._installation.greet()
                client = LoadClient(self._client_plan(name, scenario.load), folder=self._folder, name=name)
                self._clients.append(client.journal)
                try:
                    _wait_for_load(client)
                    experiment = Experiment(
                        size=self._size,
                        seed=f"{self._seed} {scenario.number}",
                        servers=self.servers,
                        installation=self._installation,
                        nursery=self._nursery,
                        wires=wires,
                        mail=mail,
                        fcm=fcm,
                        load=client,
                        journal=journal,
                        provider_journals=self._bystanders.journals,
                    )
                    scenario.play(experiment)
                    experiment.see_it_recover()
                    experiment.stop_load()
                finally:
                    client.close()
                verdict = self._judged(name, [client.journal], only=name)
                complaints += experiment.complaints + self._nursery.bad_ends()
                complaints += common_complaints(verdict, scenario=scenario, doubts_ceiling=experiment.doubts)
                complaints += scenario.judge(experiment, verdict)
            except Exception as error:  # whatever it is: the other scenarios are played all the same
                complaints.append(f"it could not be played to its end: {error!r}")
            finally:
                complaints += self._cleared_away(wires, mail, fcm)
        return ScenarioReport(
            number=scenario.number,
            name=scenario.name,
            says=scenario.says,
            seconds=round(time.monotonic() - begun, 1),
            complaints=complaints,
            verdict=verdict,
            doubts_ceiling=experiment.doubts if experiment else 0,
            figures=experiment.figures if experiment else {},
        )

    def look_back(self) -> Verdict:
        """At all that was played here: something may have come after its scenario's verdict. The services run
        for longer than any of their own waits meanwhile, but in the smallest size. Raises SetupError."""
        settle_s = _SETTLE_S if self._size is Size.SMALL else _LONGER_THAN_ANY_WAIT_S
        self._installation.open(Setting())
        try:
            return self._judged("afterwards", self._clients, only=None, settle_s=settle_s)
        finally:
            self._installation.close()

    def _judged(
        self, name: str, clients: Sequence[Path], *, only: str | None, settle_s: float = _SETTLE_S
    ) -> Verdict:
        plan = LedgerPlan(
            clients=[str(path) for path in clients],
            providers=[str(path) for path in self._bystanders.journals],
            faults=[str(self._faults)],
            url=self._installation.gateway,
            authorization=f"Bearer {self._installation.api_key}",
            verdict=str(self._folder / f"{name}.verdict.json"),
            only_marks_prefix=only,
            stuck_after_s=_STUCK_AFTER_S,
            patience_s=_LEDGER_PATIENCE_S,
            settle_s=settle_s,
        )
        return ask_ledger(plan, folder=self._folder, name=name)

    def _client_plan(self, name: str, load: Load) -> ClientPlan:
        return ClientPlan(
            port=int(self._installation.gateway.rpartition(":")[2]),
            authorization=f"Bearer {self._installation.api_key}",
            journal=str(self._folder / f"{name}.client.journal"),
            seed=self._seed,
            marks_prefix=name,
            connections=load.connections,
            rate=load.rate,
            seconds=_EVERYTHING_AT_MOST_S,
            channels=dict(load.channels),
            categories=dict(load.categories),
            batch=load.batch,
            poison_share=load.poison_share,
            retry="same_key" if load.retries else "none",
            longest_pause_s=2.0,
            give_up_s=_CLIENT_GIVES_UP_S,
            template=dict(TEMPLATES),
            user_ids=str(self._installation.users) if load.to_users else None,
            timeout_s=load.timeout_s,
        )

    def _cleared_away(self, wires: Wires, mail: Control, fcm: Control) -> list[str]:
        """As if the scenario had not been; what could not be set right."""
        complaints = []
        steps: tuple[Callable[[], object], ...] = (
            wires.let_all_pass,
            mail.set_rules,
            fcm.set_rules,
            mail.release,
            fcm.release,
            lambda: mail.set_keys(0),
            self._installation.close,
        )
        for step in steps:
            try:
                step()
            except Exception as error:  # the next step matters all the same
                complaints.append(f"it was not cleared away: {error!r}")
        return complaints

    def _close(self) -> None:
        with ExitStack() as ending:
            ending.callback(shutil.rmtree, self._folder / "postgres", ignore_errors=True)
            ending.callback(self._layout.close)
            ending.callback(self.servers.close)
            ending.callback(self._bystanders.close)
            ending.callback(self._nursery.stop_all)


def _wait_for_load(client: LoadClient) -> None:
    """Until the first request was accepted: a fault that strikes before shows nothing."""
    deadline = time.monotonic() + _LOAD_WITHIN_S
    while not any(isinstance(each, Answered) and each.status == 202 for each in client.told()):
        if time.monotonic() > deadline:
            raise SetupError(f"Nothing was accepted within {_LOAD_WITHIN_S:g} s.")
        time.sleep(_LOOK_EVERY_S)
