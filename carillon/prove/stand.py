"""Everything that a scenario needs, built once and used by one after another."""

import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from carillon.prove.experiment import Experiment
from carillon.prove.installation import ProofInstallation
from carillon.prove.layout import Layout
from carillon.prove.nursery import Nursery
from carillon.prove.report import ScenarioReport, common_complaints
from carillon.prove.scenario import Scenario, Size
from carillon.prove.servers import ProofServers
from carillon.prove.small_disk import SmallDisk
from carillon.prove.witness.journal import JournalWriter
from carillon.prove.witness.verdict import Verdict
from carillon.prove.witnesses import Bystanders, LoadClient, ask_ledger
from carillon.setup_error import SetupError


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
            self._installation.prepare()
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
                client = LoadClient(
                    scenario.load,
                    folder=self._folder,
                    name=name,
                    url=self._installation.gateway,
                    api_key=self._installation.api_key,
                    seed=self._seed,
                )
                self._clients.append(client.journal)
                try:
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
                verdict = self._judged(name, client.journal)
                complaints += experiment.complaints + self._nursery.bad_ends()
                complaints += common_complaints(verdict, scenario=scenario, doubts_ceiling=experiment.doubts)
                complaints += scenario.judge(experiment, verdict)
            except (SetupError, OSError, KeyError) as error:
                complaints.append(f"it could not be played to its end: {error!r}")
            finally:
                wires.let_all_pass()
                for provider in (mail, fcm):
                    provider.set_rules()
                    provider.release()
                mail.set_keys(0)
                self._installation.close()
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
        """At all that was played here: something may have come after its scenario's verdict. Raises
        SetupError."""
        self._installation.open(Scenario(number=0, name="", says="", play=lambda _: None).setting)
        try:
            return self._judged("afterwards", *self._clients, only=None)
        finally:
            self._installation.close()

    def _judged(self, name: str, *clients: Path, only: str | None = "") -> Verdict:
        return ask_ledger(
            folder=self._folder,
            name=name,
            url=self._installation.gateway,
            api_key=self._installation.api_key,
            clients=clients,
            providers=self._bystanders.journals,
            faults=self._faults,
            only=name if only == "" else only,
        )

    def _close(self) -> None:
        self._nursery.stop_all()
        self._bystanders.close()
        self.servers.close()
        shutil.rmtree(self._folder / "postgres", ignore_errors=True)
