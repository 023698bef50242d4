"""The circuit breaker: what a verdict does in each state, when a probe is let through, and what is shown."""

import pytest
from structlog.testing import capture_logs

from shared.process.breaker import CircuitBreaker, Permit, Verdict
from shared.process.metrics import REGISTRY


class SetMonotonic:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> SetMonotonic:
    return SetMonotonic()


def admitted(breaker: CircuitBreaker) -> Permit:
    permit = breaker.admit()
    assert permit is not None
    return permit


def fed(breaker: CircuitBreaker, verdict: Verdict, *, times: int = 1) -> CircuitBreaker:
    for _ in range(times):
        breaker.settle(admitted(breaker), verdict)
    return breaker


def opened(time: SetMonotonic) -> CircuitBreaker:
    return fed(CircuitBreaker("smtp", monotonic=time), Verdict.FAILED, times=5)


def half_open(time: SetMonotonic) -> tuple[CircuitBreaker, Permit]:
    breaker = opened(time)
    time.now += 60
    return breaker, admitted(breaker)


CLOSED_TABLE = {
    # The verdict that follows on four failures, and how many failures then open it.
    Verdict.WORKED: 5,
    Verdict.ANSWERED: 1,
    Verdict.NOTHING: 1,
    Verdict.FAILED: 0,
}
PROBE_TABLE = {
    # What a probe's verdict leads to, and whether another probe is due at once.
    Verdict.WORKED: ("closed", False),
    Verdict.ANSWERED: ("closed", False),
    Verdict.FAILED: ("open", False),
    Verdict.NOTHING: ("half-open", True),
}


@pytest.mark.parametrize("verdict", Verdict)
def test_row_of_failures_is_ended_by_a_success_alone(verdict: Verdict, time: SetMonotonic) -> None:
    breaker = fed(CircuitBreaker("smtp", monotonic=time), Verdict.FAILED, times=4)
    fed(breaker, verdict)

    failures = 0
    while breaker.state == "closed":
        fed(breaker, Verdict.FAILED)
        failures += 1

    assert failures == CLOSED_TABLE[verdict]
    assert breaker.state == "open"
    assert breaker.admit() is None
    assert breaker.wait_s() == 60


@pytest.mark.parametrize("verdict", Verdict)
def test_probe_decides(verdict: Verdict, time: SetMonotonic) -> None:
    breaker, probe = half_open(time)
    assert breaker.state == "half-open"

    breaker.settle(probe, verdict)

    assert (breaker.state, breaker.probe_is_due) == PROBE_TABLE[verdict]
    assert breaker.wait_s() == (60 if breaker.state == "open" else 0)


def test_exactly_one_probe_is_admitted_when_its_time_has_come(time: SetMonotonic) -> None:
    breaker = opened(time)
    time.now += 59.9
    assert breaker.admit() is None
    time.now += 0.1

    permits = [breaker.admit() for _ in range(50)]

    assert [permit.is_probe for permit in permits if permit is not None] == [True]


def test_verdicts_on_calls_from_before_it_opened_change_nothing(time: SetMonotonic) -> None:
    breaker = CircuitBreaker("smtp", monotonic=time)
    late = [admitted(breaker) for _ in range(20)]
    fed(breaker, Verdict.FAILED, times=5)

    breaker.settle(late.pop(), Verdict.WORKED)
    assert breaker.state == "open"

    time.now += 60
    fed(breaker, Verdict.WORKED)
    for permit in late:
        breaker.settle(permit, Verdict.FAILED)
    assert breaker.state == "closed"


def test_probe_given_back_unused_is_taken_again(time: SetMonotonic) -> None:
    breaker, probe = half_open(time)

    breaker.release(probe)

    assert admitted(breaker).is_probe


async def test_state_is_in_the_metric_in_readiness_and_in_the_log(time: SetMonotonic) -> None:
    def shown() -> float | None:
        return REGISTRY.get_sample_value("carillon_breaker_state", {"breaker": "smtp"})

    with capture_logs() as logs:
        breaker = CircuitBreaker("smtp", monotonic=time)
        await breaker.check()
        assert shown() == 0

        fed(breaker, Verdict.FAILED, times=5)
        assert shown() == 2
        time.now += 17.5
        with pytest.raises(ConnectionError, match=r"^open, next probe in 43 s$"):
            await breaker.check()

        time.now += 42.5
        with pytest.raises(ConnectionError, match=r"^open, a probe is due$"):
            await breaker.check()
        assert shown() == 1  # though nobody came to see it
        probe = admitted(breaker)
        assert shown() == 1
        with pytest.raises(ConnectionError, match=r"^half-open, a probe is under way$"):
            await breaker.check()

        breaker.settle(probe, Verdict.WORKED)
        assert shown() == 0
        await breaker.check()

    assert [(entry["event"], entry["breaker"], entry["state"]) for entry in logs] == [
        ("breaker.changed", "smtp", "open"),
        ("breaker.changed", "smtp", "half-open"),
        ("breaker.changed", "smtp", "closed"),
    ]
