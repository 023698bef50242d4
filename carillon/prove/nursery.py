"""Services as processes that can be killed, frozen and woken one by one, and that come back when they die."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from carillon.embedded.child import die_with_parent
from carillon.home import CHECKOUT
from carillon.prove.zygote_messages import Order, Started, Told
from carillon.setup_error import SetupError

BACK_AFTER_S = 0.1
"""From a death until the next start; a supervisor of a real installation takes longer."""
_ANSWERS_WITHIN_S = 60.0
_ENDS_WITHIN_S = 40.0


@dataclass(frozen=True, kw_only=True)
class Upbringing:
    """How a process is started, each time."""

    module: str
    environment: Mapping[str, str]
    clock_offset_s: float = 0.0
    poisonable: bool = False


@dataclass(kw_only=True)
class _Child:
    name: str
    upbringing: Upbringing
    once: Mapping[str, str] = field(default_factory=dict)
    wanted: bool = True
    was_frozen: bool = False
    lives: int = 0
    pid: int | None = None
    codes: list[int] = field(default_factory=list)


class Nursery:
    """All of them. `log` is the folder of their logs. Start it in the main thread."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._children: dict[str, _Child] = {}
        self._by_number: dict[int, _Child] = {}
        self._number = 0
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Have everything imported, which takes two or three seconds; `start` waits for it."""
        with (self._log / "zygote.log").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "carillon.prove.zygote"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=CHECKOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 -- prctl can be called nowhere else
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, name: str, upbringing: Upbringing) -> None:
        """From now on it runs, and is started again when it dies. Raises SetupError."""
        with self._changed:
            child = _Child(name=name, upbringing=upbringing)
            self._children[name] = child
            self._spawn(child)
            self._wait(lambda: child.lives > 0, within_s=_ANSWERS_WITHIN_S, what=f"{name} does not start")

    def names(self) -> list[str]:
        """Of all that are to run."""
        with self._changed:
            return [name for name, child in self._children.items() if child.wanted]

    def pid(self, name: str) -> int:
        """Of the present life; waits for the next one where there is none."""
        with self._changed:
            child = self._children[name]
            self._wait(
                lambda: child.pid is not None, within_s=_ANSWERS_WITHIN_S, what=f"{name} does not come back"
            )
            assert child.pid is not None  # noqa: S101 -- waited for
            return child.pid

    def kill(self, name: str) -> None:
        """kill -9; it is gone when this returns, and comes back. One that is dead already is waited for."""
        with self._changed:
            self.pid(name)
            child = self._children[name]
            lives = child.lives
            self._signal(child, signal.SIGKILL)
            self._wait(
                lambda: child.pid is None or child.lives > lives,
                within_s=_ENDS_WITHIN_S,
                what=f"{name} lives",
            )

    def die_at(self, name: str, point: str) -> None:
        """kill -9 now, and once more where its next life comes to a crash point (see
        shared/process/crash_points.py)."""
        with self._changed:
            self.pid(name)
            self._children[name].once = {"CARILLON_CRASH_AT": point}
        self.kill(name)

    def wait_for_death(self, name: str, *, after: int, within_s: float) -> bool:
        """Until it was killed more than `after` times; whether it was, in time."""
        with self._changed:
            child = self._children[name]
            return self._changed.wait_for(lambda: _deaths(child) > after, within_s)

    def freeze(self, name: str) -> None:
        """SIGSTOP: it runs no further, and knows nothing of it."""
        with self._changed:
            self.pid(name)
            self._children[name].was_frozen = True
            self._signal(self._children[name], signal.SIGSTOP)

    def wake(self, name: str) -> None:
        """SIGCONT."""
        with self._changed:
            self._signal(self._children[name], signal.SIGCONT)

    def stop(self, name: str) -> int:
        """SIGTERM, and it stays away; its exit code. One that does not end in time is killed: -9."""
        with self._changed:
            self.pid(name)
            child = self._children[name]
            child.wanted = False
            self._signal(child, signal.SIGCONT)
            self._signal(child, signal.SIGTERM)
            if not self._changed.wait_for(lambda: child.pid is None, _ENDS_WITHIN_S):
                self._signal(child, signal.SIGKILL)
                self._changed.wait_for(lambda: child.pid is None, _ENDS_WITHIN_S)
            del self._children[name]
            return child.codes[-1] if child.codes else 0

    def stop_all(self) -> None:
        """SIGKILL to every one; none comes back."""
        with self._changed:
            children = tuple(self._children.values())
            for child in children:
                child.wanted = False
                self._signal(child, signal.SIGKILL)
            self._changed.wait_for(lambda: all(child.pid is None for child in children), _ENDS_WITHIN_S)
            self._children.clear()
            # Whoever had been ordered by then is killed as soon as it is there.
            self._changed.wait_for(lambda: not self._by_number, _ENDS_WITHIN_S)

    def deaths(self, name: str) -> int:
        """How often it was killed so far, by whomever."""
        with self._changed:
            return _deaths(self._children[name])

    def bad_ends(self) -> list[str]:
        """Those that ended otherwise than killed or in order: a defect of the service. One that was frozen
        may find that it stood still for too long, and end itself."""
        with self._changed:
            return [
                f"{child.name} ended with code {code}"
                for child in self._children.values()
                for code in child.codes
                if code not in (0, -signal.SIGKILL) and not child.was_frozen
            ]

    def close(self) -> None:
        """End all, and the zygote."""
        self.stop_all()
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def _spawn(self, child: _Child) -> None:
        if self._process is None or self._process.stdin is None or self._process.poll() is not None:
            raise SetupError(f"The services' common ancestor has ended (log: {self._log / 'zygote.log'}).")
        self._number += 1
        once, child.once = child.once, {}
        order = Order(
            number=self._number,
            module=child.upbringing.module,
            environment={**child.upbringing.environment, **once},
            log=str(self._log / f"{child.name}.log"),
            clock_offset_s=child.upbringing.clock_offset_s,
            poisonable=child.upbringing.poisonable,
        )
        self._by_number[order.number] = child
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101
        for line in self._process.stdout:
            told = msgspec.json.decode(line, type=Told)
            with self._changed:
                self._hear(told)
                self._changed.notify_all()

    def _hear(self, told: Told) -> None:
        if isinstance(told, Started):
            child = self._by_number[told.number]
            child.pid, child.lives = told.pid, child.lives + 1
            if not child.wanted:  # it was stopped after it had been ordered, and before it was there
                self._signal(child, signal.SIGKILL)
            return
        child = self._by_number.pop(told.number)
        child.pid = None
        child.codes.append(told.code)
        if child.wanted:
            threading.Thread(target=self._bring_back, args=(child,), daemon=True).start()

    def _bring_back(self, child: _Child) -> None:
        time.sleep(BACK_AFTER_S)
        with self._changed:
            if child.wanted:
                self._spawn(child)

    def _signal(self, child: _Child, number: signal.Signals) -> None:
        if child.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, number)

    def _wait(self, holds: Callable[[], bool], *, within_s: float, what: str) -> None:
        if not self._changed.wait_for(holds, within_s):
            raise SetupError(f"{what} (logs: {self._log}).")


def _deaths(child: _Child) -> int:
    return sum(code == -signal.SIGKILL for code in child.codes)
