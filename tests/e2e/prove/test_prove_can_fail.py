"""Take away one of the product's safeguards, and `carillon prove` turns red for it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.prove.mutations import MUTATIONS, PACKAGES, Mutation, copy_with
from tests.e2e.prove.proving import EMBEDDED, ON_RABBITMQ, Order, Proved

GREEN = {(order.broker, number) for order in (EMBEDDED, ON_RABBITMQ) for number in order.scenarios}


def order_of(mutation: Mutation) -> Order:
    """The one scenario that has to notice."""
    return Order(broker=mutation.broker, scenarios=(mutation.scenario,), mutation=mutation)


@pytest.mark.slow
@pytest.mark.parametrize(
    "order",
    [
        pytest.param(
            order_of(each),
            id=f"{each.name}, {each.broker}",
            marks=[pytest.mark.rabbitmq] if each.broker == "rabbitmq" else [],
        )
        for each in MUTATIONS
    ],
)
def test_without_a_safeguard_it_is_red(order: Order, proved: Proved) -> None:
    mutation = order.mutation
    assert mutation is not None
    assert proved.report is not None, proved.said
    assert proved.code == 1, proved.said
    (scenario,) = proved.report.scenarios
    assert scenario.verdict is not None, scenario.complaints
    complaints = [re.sub(r"^\d+ ", "", complaint) for complaint in scenario.complaints]
    assert any(complaint.startswith(mutation.complains) for complaint in complaints), complaints
    assert mutation.left_as is None or mutation.left_as in scenario.verdict.statuses


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_with_all_its_safeguards_the_same_scenario_is_played_as_well(mutation: Mutation) -> None:
    assert (mutation.broker, mutation.scenario) in GREEN


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_copy_is_what_runs(mutation: Mutation, tmp_path: Path) -> None:
    copy_with(mutation, tmp_path)

    asked = (
        f"import importlib.util as u; print(*(u.find_spec(name).origin for name in {PACKAGES}), sep='\\n')"
    )
    said = subprocess.run(
        [sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    ).stdout

    assert said.split() == [str(tmp_path / package / "__init__.py") for package in PACKAGES]
