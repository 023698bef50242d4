"""The circuit breaker and the rota of providers."""

import pytest

from shared.contracts.delivery import Problem
from shared.delivery.dry_run import DryRun
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled
from shared.delivery.rota import Rota, Turn
from shared.process.breaker import Permit, ProviderBreaker

PROBLEM = Problem(kind="provider.refused", message="No.")
RETRYABLE = Retryable(problem=PROBLEM)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def tripped(time: Time) -> ProviderBreaker:
    breaker = ProviderBreaker("smtp", monotonic=time)
    for _ in range(5):
        breaker.record(Permit.ORDINARY, failed=True)
    return breaker


def test_five_failures_in_a_row_open_it(time: Time) -> None:
    breaker = ProviderBreaker("smtp", monotonic=time)
    for failed in (True, True, True, True, False, True, True, True, True):
        breaker.record(Permit.ORDINARY, failed=failed)
    assert breaker.state == "closed"

    breaker.record(Permit.ORDINARY, failed=True)

    assert breaker.state == "open"
    assert breaker.admit() is None
    assert breaker.wait_s() == 60


def test_exactly_one_probe_is_admitted_after_a_minute(time: Time) -> None:
    breaker = tripped(time)
    time.now += 60

    permits = [breaker.admit() for _ in range(50)]

    assert permits.count(Permit.PROBE) == 1
    assert permits.count(None) == 49


def test_a_probe_that_succeeds_closes_it_and_one_that_fails_opens_it_anew(time: Time) -> None:
    breaker = tripped(time)
    time.now += 60
    assert breaker.admit() is Permit.PROBE
    breaker.record(Permit.PROBE, failed=True)
    assert breaker.state == "open"
    assert breaker.wait_s() == 60

    time.now += 60
    assert breaker.admit() is Permit.PROBE
    breaker.record(Permit.PROBE, failed=False)

    assert breaker.state == "closed"
    assert breaker.admit() is Permit.ORDINARY


def test_results_of_calls_from_before_it_opened_change_nothing(time: Time) -> None:
    breaker = tripped(time)

    breaker.record(Permit.ORDINARY, failed=False)

    assert breaker.state == "open"


def test_a_probe_given_back_without_a_verdict_is_taken_again(time: Time) -> None:
    breaker = tripped(time)
    time.now += 60
    permit = breaker.admit()
    assert permit is Permit.PROBE
    breaker.release(permit)

    assert breaker.admit() is Permit.PROBE


class Named(DryRun):
    def __init__(self, name: str) -> None:
        self.name = name


def take(rota: Rota[object], *, avoid: str | None = None) -> Turn[object]:
    turn = rota.try_turn(avoid=avoid)
    assert turn is not None
    return turn


def use(rota: Rota[object], outcome: Outcome, *, times: int = 1) -> None:
    for _ in range(times):
        rota.finish(take(rota), outcome)


def test_the_next_attempt_goes_to_another_healthy_provider(time: Time) -> None:
    rota = Rota([Named("first"), Named("second")], monotonic=time)

    assert take(rota).provider.name == "first"
    assert take(rota, avoid="first").provider.name == "second"


def test_one_provider_alone_is_called_again(time: Time) -> None:
    rota = Rota([Named("only")], monotonic=time)

    assert take(rota, avoid="only").provider.name == "only"


def test_an_open_provider_is_passed_over(time: Time) -> None:
    rota = Rota([Named("first"), Named("second")], monotonic=time)
    use(rota, RETRYABLE, times=5)

    assert rota.breaker_states == {"first": "open", "second": "closed"}
    assert take(rota).provider.name == "second"


def test_a_429_holds_the_provider_and_never_opens_it(time: Time) -> None:
    rota = Rota([Named("only")], monotonic=time)
    use(rota, Throttled(after_s=30, problem=PROBLEM))

    assert rota.try_turn(avoid=None) is None
    assert rota.breaker_states == {"only": "closed"}
    time.now += 30
    assert rota.try_turn(avoid=None) is not None


def test_client_errors_never_open_it(time: Time) -> None:
    rota = Rota([Named("only")], monotonic=time)
    use(rota, Rejected(problem=PROBLEM), times=20)

    assert rota.breaker_states == {"only": "closed"}


def test_a_full_mailbox_says_nothing_of_the_provider(time: Time) -> None:
    rota = Rota([Named("only")], monotonic=time)
    use(rota, Retryable(problem=PROBLEM, provider_at_fault=False), times=20)

    assert rota.breaker_states == {"only": "closed"}


def test_a_probe_answered_with_a_client_error_shows_that_the_provider_is_back(time: Time) -> None:
    rota = Rota([Named("only")], monotonic=time)
    use(rota, RETRYABLE, times=5)
    time.now += 60
    use(rota, Rejected(problem=PROBLEM))

    assert rota.breaker_states == {"only": "closed"}
    use(rota, Accepted(provider_message_id=None))
