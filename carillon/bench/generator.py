"""Running the load generator against a system."""

import math
import secrets
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from carillon.bench.load_plan import LoadPlan, LoadResult
from carillon.bench.system import System
from carillon.embedded import child
from carillon.home import CHECKOUT
from carillon.setup_error import SetupError

SINGLE = "/api/v1/notifications"
BATCH = "/api/v1/notifications/batch"


@dataclass(frozen=True, kw_only=True)
class Load:
    """`count` notifications, `batch` of them in each request, over so many connections; with `rate`
    (requests a second) paced, else as fast as they are answered."""

    count: int
    connections: int = 64
    batch: int = 1
    rate: float | None = None
    priority: int = 5

    @property
    def requests(self) -> int:
        """How many; the last may hold fewer than `batch`."""
        return math.ceil(self.count / self.batch)

    def unanswered(self, result: LoadResult) -> int:
        """How many notifications were in requests that were sent, and not answered."""
        return sum(
            min(self.batch, self.count - answer.number * self.batch)
            for answer in result.answers
            if answer.status == 0
        )


class Generator:
    """One load, in a process of its own: start it, and later `wait` for its end."""

    def __init__(self, system: System, load: Load, *, folder: Path) -> None:
        name = f"load-{secrets.token_hex(4)}"
        requests, self._result = folder / f"{name}.requests", folder / f"{name}.result"
        self._log = folder / f"{name}.log"
        _write_requests(requests, system, load, run=name)
        plan = LoadPlan(
            port=system.port,
            path=SINGLE if load.batch == 1 else BATCH,
            authorization=system.authorization,
            connections=load.connections,
            requests_file=str(requests),
            result_file=str(self._result),
            rate=load.rate,
        )
        plan_file = folder / f"{name}.plan"
        plan_file.touch(mode=0o600)
        plan_file.write_bytes(msgspec.json.encode(plan))
        self._process = child.spawn(
            [sys.executable, "-m", "carillon.bench.load", plan_file],
            log=self._log,
            death_signal=signal.SIGTERM,
            working_directory=CHECKOUT,
        )

    @property
    def running(self) -> bool:
        """Whether it still sends, or waits for answers."""
        return self._process.poll() is None

    def wait(self, *, timeout_s: float) -> LoadResult:
        """What became of it. Raises SetupError where it broke or takes longer."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            self.stop()
            raise SetupError(f"The load generator did not end within {timeout_s:.0f} s.") from error
        if code != 0:
            why = child.last_words(self._log, marks=("Error",))
            raise SetupError(f"The load generator ended with {code}: {why}")
        return msgspec.json.decode(self._result.read_bytes(), type=LoadResult)

    def end(self, *, timeout_s: float) -> LoadResult:
        """No more requests; what became of those that were sent. Raises SetupError."""
        self._process.terminate()
        return self.wait(timeout_s=timeout_s)

    def stop(self) -> None:
        """End it, whatever it is doing."""
        child.stop(self._process)


def _write_requests(path: Path, system: System, load: Load, *, run: str) -> None:
    entries = [
        {
            "user_id": system.recipients[number % len(system.recipients)],
            "notification_type": "email",
            "template_code": system.template,
            "variables": {"name": f"Person {number}", "order": f"{run}-{number}"},
            "priority": load.priority,
        }
        for number in range(load.count)
    ]
    with path.open("wb") as file:
        for first in range(0, load.count, load.batch):
            body: object = entries[first]
            if load.batch > 1:
                body = {"notifications": entries[first : first + load.batch]}
            file.write(f"{run}-{first}\t".encode() + msgspec.json.encode(body) + b"\n")
