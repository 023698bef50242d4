"""A circuit breaker around one provider.

pybreaker keeps the state; its own ways of calling are not used, since `call`, the decorator and
`call_async` are wrong for coroutines (1.4: the coroutine is counted before it runs) and `calling()` lets
every waiting call through when half open. So the provider is awaited by us, and its outcome fed in.
"""

import contextlib
import time
from collections.abc import Callable
from enum import StrEnum

import pybreaker

FAILURES_TO_OPEN = 5
OPEN_FOR_S = 60.0


class _ProviderFailed(Exception):
    """Stands for a failed call when it is fed into pybreaker."""


class Permit(StrEnum):
    """What a call was let through as; handed back with its result."""

    ORDINARY = "ordinary"
    PROBE = "probe"


class ProviderBreaker:
    """Closed, it admits every call; after `fail_max` failures in a row it opens for `open_for_s` seconds;
    then it admits exactly one probe, whose result closes it or opens it anew.

    `monotonic` is the clock, in seconds. Results of calls admitted before it opened change nothing.
    """

    def __init__(
        self,
        name: str,
        *,
        fail_max: int = FAILURES_TO_OPEN,
        open_for_s: float = OPEN_FOR_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=fail_max, reset_timeout=open_for_s, name=name, throw_new_error_on_trip=False
        )
        self._open_for_s = open_for_s
        self._monotonic = monotonic
        self._opened_at = 0.0
        self._probing = False

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return self._breaker.current_state

    def admit(self) -> Permit | None:
        """A permit for one call, or None. Each permit must be given back by `record` or `release`."""
        if self.state == pybreaker.STATE_CLOSED:
            return Permit.ORDINARY
        if self._probing or self.wait_s() > 0:
            return None
        self._probing = True
        self._breaker.half_open()
        return Permit.PROBE

    def wait_s(self) -> float:
        """Seconds until a probe may be admitted; 0 when closed or due."""
        if self.state != pybreaker.STATE_OPEN:
            return 0.0
        return max(0.0, self._opened_at + self._open_for_s - self._monotonic())

    def record(self, permit: Permit, *, failed: bool) -> None:
        """Feed the result of a permitted call in."""
        if permit is Permit.PROBE:
            self._probing = False
        elif self.state != pybreaker.STATE_CLOSED:
            return
        # The failure is raised through by pybreaker after it was counted.
        with contextlib.suppress(_ProviderFailed):
            self._breaker.call(_fail if failed else _succeed)
        if self.state == pybreaker.STATE_OPEN:
            self._opened_at = self._monotonic()

    def release(self, permit: Permit) -> None:
        """Give a permit back unused, or without a verdict (a client error, a 429)."""
        if permit is Permit.PROBE:
            self._probing = False


def _fail() -> None:
    raise _ProviderFailed


def _succeed() -> None:
    return
