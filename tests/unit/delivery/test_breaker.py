"""What outcomes mean to a provider's circuit breaker, and the rota of providers."""

from typing import get_args

import pytest

from shared.contracts.delivery import Problem
from shared.delivery.dry_run import DryRun
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown, verdict_of
from shared.delivery.rota import Passage, Rota, Turn
from shared.process.breaker import Verdict

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


VERDICTS: list[tuple[Outcome, Verdict]] = [
    (Accepted(provider_message_id=None), Verdict.WORKED),
    (Rejected(problem=PROBLEM), Verdict.ANSWERED),
    (Retryable(problem=PROBLEM), Verdict.FAILED),
    (Retryable(problem=PROBLEM, provider_at_fault=False), Verdict.NOTHING),
    (Throttled(after_s=30, problem=PROBLEM), Verdict.NOTHING),
    (Unknown(problem=PROBLEM), Verdict.FAILED),
]


@pytest.mark.parametrize(("outcome", "verdict"), VERDICTS)
def test_outcome_has_its_verdict_on_the_provider(outcome: Outcome, verdict: Verdict) -> None:
    assert verdict_of(outcome) is verdict


def test_no_kind_of_outcome_is_without_a_verdict() -> None:
    assert {type(outcome) for outcome, _ in VERDICTS} == set(get_args(Outcome))


class Named(DryRun):
    def __init__(self, name: str) -> None:
        self.name = name


def take(rota: Rota[object], *, after: str | None = None) -> Turn[object]:
    turn = rota.try_turn(after=after)
    assert turn is not None
    return turn


def use(rota: Rota[object], outcome: Outcome, *, times: int = 1) -> None:
    for _ in range(times):
        rota.finish(take(rota), outcome)


def passage(rota: Rota[object]) -> Passage:
    return rota.passage


def states(rota: Rota[object]) -> dict[str, str]:
    return {breaker.name: breaker.state for breaker in rota.breakers}


def test_the_next_attempt_goes_to_another_healthy_provider(time: Time) -> None:
    rota = Rota([Named("first"), Named("second")], monotonic=time)

    assert take(rota).provider.name == "first"
    assert take(rota, after="first").provider.name == "second"


def test_one_provider_alone_is_called_again(time: Time) -> None:
    rota = Rota([Named("only")], monotonic=time)

    assert take(rota, after="only").provider.name == "only"


def test_an_open_provider_is_passed_over(time: Time) -> None:
    rota = Rota([Named("first"), Named("second")], monotonic=time)
    use(rota, RETRYABLE, times=5)

    assert states(rota) == {"first": "open", "second": "closed"}
    assert take(rota).provider.name == "second"


def test_an_open_provider_is_left_alone_for_as_long_as_is_configured(time: Time) -> None:
    rota = Rota([Named("only")], breaker_open_s=7.0, monotonic=time)
    use(rota, RETRYABLE, times=5)

    time.now += 6.9
    assert passage(rota) is Passage.BLOCKED

    time.now += 0.2
    assert passage(rota) is Passage.ONE_PROBE


def test_a_429_holds_the_provider_and_never_opens_it(time: Time) -> None:
    rota = Rota([Named("only")], monotonic=time)
    use(rota, Throttled(after_s=30, problem=PROBLEM))

    assert rota.try_turn(after=None) is None
    assert states(rota) == {"only": "closed"}
    time.now += 30
    assert rota.try_turn(after=None) is not None


def test_client_errors_never_open_it(time: Time) -> None:
    rota = Rota([Named("only")], monotonic=time)
    use(rota, Rejected(problem=PROBLEM), times=20)

    assert states(rota) == {"only": "closed"}


def test_a_full_mailbox_says_nothing_of_the_provider(time: Time) -> None:
    rota = Rota([Named("only")], monotonic=time)
    use(rota, Retryable(problem=PROBLEM, provider_at_fault=False), times=20)

    assert states(rota) == {"only": "closed"}


def test_a_probe_answered_with_a_client_error_shows_that_the_provider_is_back(time: Time) -> None:
    rota = Rota([Named("only")], monotonic=time)
    use(rota, RETRYABLE, times=5)
    time.now += 60
    use(rota, Rejected(problem=PROBLEM))

    assert states(rota) == {"only": "closed"}
    use(rota, Accepted(provider_message_id=None))
