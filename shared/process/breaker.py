"""A circuit breaker around one provider, or around another service.

pybreaker keeps the state; its own ways of calling are not used, since `call`, the decorator and
`call_async` are wrong for coroutines (1.4: the coroutine is counted before it runs) and `calling()` lets
every waiting call through when half open. So the call is awaited by us, and its verdict fed in.
"""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

import pybreaker
import structlog

from shared.process.metrics import gauge

log = structlog.get_logger()

FAILURES_TO_OPEN = 5
OPEN_FOR_S = 60.0

STATE = gauge(
    "breaker_state", "A circuit breaker: 0 closed, 1 half-open or due for a probe, 2 open", ("breaker",)
)
_STATE_NUMBERS = {pybreaker.STATE_CLOSED: 0, pybreaker.STATE_HALF_OPEN: 1, pybreaker.STATE_OPEN: 2}


class _CallFailed(Exception):
    """Stands for a failed call when it is fed into pybreaker."""


class Verdict(Enum):
    """What a call says of whoever was called."""

    WORKED = auto()
    """All is well: a row of failures ends."""
    ANSWERED = auto()
    """It is there and refused the call itself: enough to close after a probe, else it counts for nothing."""
    FAILED = auto()
    """Its own failure."""
    NOTHING = auto()
    """Not called after all, cancelled, or told to wait."""


@dataclass(frozen=True, kw_only=True)
class Permit:
    """The right to one call; handed back with its verdict. `era` counts how often the breaker had opened."""

    is_probe: bool
    era: int


class CircuitBreaker:
    """Closed, it admits every call; after `fail_max` failures in a row it opens for `open_for_s` seconds;
    then it admits exactly one probe, whose verdict closes it or opens it anew.

    `name` is its label in the metric, `monotonic` the clock, in seconds. Verdicts on calls that were admitted
    before it opened change nothing, also when they come after it has closed again.
    """

    def __init__(
        self,
        name: str,
        *,
        fail_max: int = FAILURES_TO_OPEN,
        open_for_s: float = OPEN_FOR_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=fail_max, reset_timeout=open_for_s, name=name, throw_new_error_on_trip=False
        )
        self._open_for_s = open_for_s
        self._monotonic = monotonic
        self._opened_at = 0.0
        self._probing = False
        self._era = 0
        self._shown = self.state
        # Computed when it is read: time alone ends `open`, and at night nobody may come to notice.
        STATE.labels(name).set_function(self._number)

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return self._breaker.current_state

    @property
    def probe_is_due(self) -> bool:
        """Whether a probe would be admitted now."""
        return self.state != pybreaker.STATE_CLOSED and not self._probing and self.wait_s() == 0

    def admit(self) -> Permit | None:
        """A permit for one call, or None. Each permit must be given back by `settle` or `release`."""
        if self.state == pybreaker.STATE_CLOSED:
            return Permit(is_probe=False, era=self._era)
        if not self.probe_is_due:
            return None
        self._probing = True
        self._breaker.half_open()
        self._show()
        return Permit(is_probe=True, era=self._era)

    def wait_s(self) -> float:
        """Seconds until a probe may be admitted; 0 when closed or due."""
        if self.state != pybreaker.STATE_OPEN:
            return 0.0
        return max(0.0, self._opened_at + self._open_for_s - self._monotonic())

    def settle(self, permit: Permit, verdict: Verdict) -> None:
        """Give a permit back with what came of the call."""
        if permit.era != self._era:
            return
        if permit.is_probe:
            self._probing = False
        if verdict is Verdict.NOTHING or (verdict is Verdict.ANSWERED and not permit.is_probe):
            return
        # The failure is raised through by pybreaker after it was counted.
        with contextlib.suppress(_CallFailed):
            self._breaker.call(_fail if verdict is Verdict.FAILED else _succeed)
        if self.state == pybreaker.STATE_OPEN:
            self._opened_at = self._monotonic()
            self._era += 1
        self._show()

    def release(self, permit: Permit) -> None:
        """Give a permit back unused."""
        self.settle(permit, Verdict.NOTHING)

    async def check(self) -> None:
        """For readiness: raises ConnectionError, with the state in words, while it is not closed."""
        if self.state == pybreaker.STATE_CLOSED:
            return
        if self._probing:
            raise ConnectionError("half-open, a probe is under way")
        wait_s = math.ceil(self.wait_s())
        raise ConnectionError(f"open, next probe in {wait_s} s" if wait_s else "open, a probe is due")

    def _show(self) -> None:
        """A change of the state in the log."""
        if self.state != self._shown:
            log.warning("breaker.changed", breaker=self.name, state=self.state, was=self._shown)
            self._shown = self.state

    def _number(self) -> float:
        return _STATE_NUMBERS[pybreaker.STATE_HALF_OPEN if self.probe_is_due else self.state]


def _fail() -> None:
    raise _CallFailed


def _succeed() -> None:
    return
