"""`carillon prove`, a small part of it: the seed, the scenarios and the brokers are always the same."""

import pytest

from tests.e2e.prove.proving import EMBEDDED, ON_RABBITMQ, SEED, Order, Proved

MUST_BE_NOUGHT = (
    "lost",
    "silent_duplicates",
    "stuck",
    "unaccepted",
    "undecided",
    "contradictions",
    "unmarked",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "order",
    [
        pytest.param(EMBEDDED, id="embedded"),
        pytest.param(ON_RABBITMQ, id="rabbitmq", marks=pytest.mark.rabbitmq),
    ],
)
def test_nothing_is_lost_and_nothing_is_sent_twice_in_silence(order: Order, proved: Proved) -> None:
    assert proved.report is not None, proved.said
    assert proved.code == 0, proved.said
    assert proved.report.is_green
    assert proved.report.seed == SEED
    assert tuple(each.number for each in proved.report.scenarios) == order.scenarios
    assert proved.report.afterwards
    for scenario in proved.report.scenarios:
        verdict = scenario.verdict
        assert verdict is not None
        assert verdict.accepted > 0
        assert {name: getattr(verdict, name) for name in MUST_BE_NOUGHT} == dict.fromkeys(MUST_BE_NOUGHT, 0)
        assert verdict.recoveries, "no fault was injected"
