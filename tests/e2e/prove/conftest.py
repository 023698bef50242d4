"""What the tests ask for is proved at once, before the first of them. Where several processes share the run
(`pytest -n`), each test has its own proved: whatever goes on belongs to a test that is running."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from carillon.setup_error import SetupError
from tests import servers
from tests.e2e.prove.proving import Order, Proved, path_for, prove_all
from tests.scheduling import is_one_of_several


@dataclass(frozen=True, kw_only=True)
class AllProved:
    """By the tests' names; `missing` says why there is nothing of RabbitMQ."""

    by_test: Mapping[str, Proved]
    missing: str = ""


@pytest.fixture(scope="package")
def all_proved(request: pytest.FixtureRequest) -> AllProved:
    """What the tests that were chosen ask for; nothing where each does so for itself."""
    if is_one_of_several(request.config):
        return AllProved(by_test={})
    return _prove(request.session.items)


@pytest.fixture
def proved(request: pytest.FixtureRequest, all_proved: AllProved) -> Proved:
    """What came of this test's `order`."""
    if is_one_of_several(request.config):
        all_proved = _prove([request.node])
    if request.node.nodeid not in all_proved.by_test:
        servers.not_to_be_had(all_proved.missing)
    return all_proved.by_test[request.node.nodeid]


def _prove(items: list[pytest.Item]) -> AllProved:
    orders: dict[str, Order] = {}
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            order = item.callspec.params.get("order")
            if isinstance(order, Order):
                orders[item.nodeid] = order
    try:
        path = path_for([*orders.values()])
    except SetupError as error:
        embedded = {name: order for name, order in orders.items() if order.broker == "embedded"}
        return AllProved(by_test=prove_all(embedded, path=os.environ["PATH"]), missing=str(error))
    return AllProved(by_test=prove_all(orders, path=path))
