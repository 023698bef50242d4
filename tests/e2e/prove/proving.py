"""`carillon prove` in processes of its own, three at a time: most of what it does is wait."""

import os
import signal
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from carillon.embedded import child
from carillon.embedded.rabbitmq import find_rabbitmq
from carillon.home import CHECKOUT
from carillon.prove.report import ProofReport
from tests import servers
from tests.debian import install, may_install
from tests.e2e.prove.mutations import Broker, Mutation, Outdated, copy_with
from tests.rabbitmq_archive import unpacked_rabbitmq

SEED = 6
_AT_ONCE = 3
_ENDS_WITHIN_S = 600.0
_STOPS_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be proved, of the product as it is or without one of its safeguards."""

    broker: Broker
    scenarios: Collection[int]
    mutation: Mutation | None = None


@dataclass(frozen=True, kw_only=True)
class Proved:
    """How it ended. `said`: what a person would have read on the terminal, or why it did not begin."""

    said: str
    code: int | None = None
    report: ProofReport | None = None


EMBEDDED = Order(broker="embedded", scenarios=(3, 6, 10))
ON_RABBITMQ = Order(broker="rabbitmq", scenarios=(2, 11))


class _Run:
    """One order under way. Raises Outdated."""

    def __init__(self, order: Order, folder: Path, *, path: str) -> None:
        source = CHECKOUT
        if order.mutation is not None:
            source = folder / "copy"
            copy_with(order.mutation, source)
        self._log, self._json = folder / "prove.log", folder / "report.json"
        only = [part for number in order.scenarios for part in ("--only", str(number))]
        arguments = ["--small", "--broker", order.broker, "--seed", str(SEED), "--json", str(self._json)]
        self._process = child.spawn(
            [sys.executable, "-m", "carillon", "prove", *arguments, *only],
            log=self._log,
            death_signal=signal.SIGTERM,
            environment=os.environ | {"TMPDIR": str(folder), "PATH": path},
            working_directory=source,
        )
        self._deadline = time.monotonic() + _ENDS_WITHIN_S

    def proved(self) -> Proved | None:
        """None while it goes on."""
        if self._process.poll() is None and time.monotonic() < self._deadline:
            return None
        self.end()
        report = None
        if self._json.exists():
            report = msgspec.json.decode(self._json.read_bytes(), type=ProofReport)
        return Proved(
            said=self._log.read_text(errors="replace"), code=self._process.returncode, report=report
        )

    def end(self) -> None:
        """Whatever it does."""
        child.stop(self._process, (signal.SIGTERM, _STOPS_WITHIN_S))


def prove_all(orders: Mapping[str, Order], *, path: str) -> Mapping[str, Proved]:
    """By the same names. `path`: where programs are looked for. From the main thread."""
    found: dict[str, Proved] = {}
    running: dict[str, _Run] = {}
    waiting = list(orders.items())
    with ExitStack() as ending:
        while len(found) < len(orders):
            while waiting and len(running) < _AT_ONCE:
                name, order = waiting.pop(0)
                folder = ending.enter_context(servers.server_folder())
                try:
                    running[name] = run = _Run(order, folder, path=path)
                except Outdated as error:
                    found[name] = Proved(said=str(error))
                else:
                    ending.callback(run.end)
            for name, run in tuple(running.items()):
                proved = run.proved()
                if proved is not None:
                    found[name] = proved
                    del running[name]
            time.sleep(_LOOK_EVERY_S)
    return found


def path_for(orders: Sequence[Order]) -> str:
    """Where programs are found: RabbitMQ's as well, if it is wanted. Raises SetupError."""
    path = os.environ["PATH"]
    if not any(order.broker == "rabbitmq" for order in orders):
        return path
    if find_rabbitmq() is None and may_install():
        install("rabbitmq-server", program="rabbitmq-server")
    if find_rabbitmq() is not None:
        return path
    root = unpacked_rabbitmq()
    return os.pathsep.join((str(root / "usr/lib/rabbitmq/bin"), str(root / "usr/bin"), path))
