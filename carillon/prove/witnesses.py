"""The independent programs: started, told, and asked. What they are is in carillon/prove/witness."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from carillon.embedded import child
from carillon.home import CHECKOUT
from carillon.prove.layout import WIRED_SERVERS, Layout, wire
from carillon.prove.wires.client import Wires
from carillon.prove.wires.orders import Plan, WirePlan
from carillon.prove.witness.client_plan import ClientPlan
from carillon.prove.witness.control import Control
from carillon.prove.witness.journal import Record, read_journal
from carillon.prove.witness.ledger_plan import LedgerPlan
from carillon.prove.witness.verdict import Verdict
from carillon.services import SERVICES
from carillon.setup_error import SetupError

_STARTS_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.05
_ENDS_WITHIN_S = 10.0


class Bystanders:
    """The two providers and the wires, which live as long as the experiment. From the main thread."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._folder = folder
        self._layout = layout
        self._processes: list[subprocess.Popen[bytes]] = []
        self.journals = [folder / "mail.journal", folder / "fcm.journal"]
        self.fcm_account = folder / "fcm-account.json"

    def start(self, servers: Mapping[str, int]) -> None:
        """All three; `servers` are the ports of those that a wire stands in front of. Raises SetupError."""
        mail, fcm = self.journals
        self._start("mail_server", port=self._layout["mail"], journal=mail, control=self._socket("mail"))
        self._start(
            "push_server",
            port=self._layout["fcm"],
            journal=fcm,
            control=self._socket("fcm"),
            account=self.fcm_account,
        )
        plan = self._folder / "wires.json"
        plan.write_bytes(msgspec.json.encode(self._wires(servers)))
        self._processes.append(self._spawn("wires", "carillon.prove.wires", plan))

    def mail(self) -> Control:
        """Of the mail server."""
        return Control(self._socket("mail"))

    def fcm(self) -> Control:
        """Of the push service."""
        return Control(self._socket("fcm"))

    def wires(self) -> Wires:
        """A connection to them."""
        return Wires(self._socket("wires"))

    def close(self) -> None:
        """End them."""
        for process in reversed(self._processes):
            child.stop(process, (signal.SIGTERM, _ENDS_WITHIN_S))

    def _wires(self, servers: Mapping[str, int]) -> Plan:
        to = {name: [port] for name, port in servers.items()}
        to |= {"mail": [self._layout["mail"]], "fcm": [self._layout["fcm"]]}
        to |= {service.name: self._layout.replicas(service.name) for service in SERVICES}
        return Plan(
            control=str(self._socket("wires")),
            wires=[
                WirePlan(name=name, listen=self._layout[wire(name)], to=to[name])
                for name in (*WIRED_SERVERS, *(service.name for service in SERVICES))
            ],
        )

    def _socket(self, name: str) -> Path:
        return self._folder / f"{name}.sock"

    def _start(self, program: str, **options: object) -> None:
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        process = self._spawn(program, f"carillon.prove.witness.{program}", *arguments)
        self._processes.append(process)
        log, deadline = self._folder / f"{program}.log", time.monotonic() + _STARTS_WITHIN_S
        while "ready" not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SetupError(f"{program} does not start (log: {log}).")
            time.sleep(_LOOK_EVERY_S)

    def _spawn(self, name: str, module: str, *arguments: object) -> subprocess.Popen[bytes]:
        return child.spawn(
            [sys.executable, "-m", module, *(str(each) for each in arguments)],
            log=self._folder / f"{name}.log",
            death_signal=signal.SIGTERM,
            working_directory=CHECKOUT,
        )


class LoadClient:
    """One load, in a process of its own, until it is told to stop."""

    def __init__(self, plan: ClientPlan, *, folder: Path, name: str) -> None:
        self.journal = Path(plan.journal)
        self._ends_within_s = plan.give_up_s + _ENDS_WITHIN_S
        self._process = child.spawn(
            [sys.executable, "-m", "carillon.prove.witness.client", _secret_plan(folder, name, plan)],
            log=folder / f"{name}.client.log",
            death_signal=signal.SIGKILL,
            working_directory=CHECKOUT,
        )

    def told(self) -> list[Record]:
        """Its journal so far."""
        return read_journal(self.journal) if self.journal.exists() else []

    def finish(self) -> str | None:
        """No new notifications; what was asked for is asked again until it is answered, or given up. What is
        wrong with the client itself, if anything."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(self._ends_within_s)
        except subprocess.TimeoutExpired:
            self.close()
            return "the client did not come to its end"
        return None if code == 0 else f"the client ended with code {code}"

    def close(self) -> None:
        """End it, whatever it does."""
        child.stop(self._process)


def ask_ledger(plan: LedgerPlan, *, folder: Path, name: str) -> Verdict:
    """Have the books balanced, which takes until all is at rest. Raises SetupError."""
    log = folder / f"{name}.ledger.log"
    process = child.spawn(
        [sys.executable, "-m", "carillon.prove.witness.ledger", _secret_plan(folder, f"{name}-ledger", plan)],
        log=log,
        death_signal=signal.SIGKILL,
        working_directory=CHECKOUT,
    )
    try:
        process.wait(plan.patience_s * 2)
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"The ledger does not come to an end (log: {log}).") from error
    finally:
        child.stop(process)
    if process.returncode != 0:
        raise SetupError(f"The ledger could not give a verdict (log: {log}).")
    return msgspec.json.decode(Path(plan.verdict).read_bytes(), type=Verdict)


def _secret_plan(folder: Path, name: str, plan: msgspec.Struct) -> Path:
    path = folder / f"{name}.plan.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(plan))
    return path
