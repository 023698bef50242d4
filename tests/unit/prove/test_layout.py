"""Who listens where: two experiments at once do not get in each other's way."""

import random
from collections.abc import Iterator
from contextlib import closing

import pytest

from carillon.prove.layout import REPLICAS, WIRED_SERVERS, Layout, replica, wire
from carillon.services import SERVICES

NAMES = (
    *(replica(service.name, number) for service in SERVICES for number in range(1, REPLICAS + 1)),
    "mail",
    "fcm",
    *(wire(name) for name in (*WIRED_SERVERS, *(service.name for service in SERVICES))),
)


def ports_of(layout: Layout) -> list[int]:
    return [layout[name] for name in NAMES]


@pytest.fixture
def _chance_is_ours() -> Iterator[None]:
    before = random.getstate()
    yield
    random.setstate(before)


@pytest.mark.usefixtures("_chance_is_ours")
def test_two_at_the_same_time_share_no_port_even_where_chance_leads_both_to_the_same() -> None:
    random.seed(1)
    with closing(Layout()) as first:
        random.seed(1)
        with closing(Layout()) as second:
            assert {*ports_of(first)}.isdisjoint(ports_of(second))


def test_whoever_listens_has_a_port_of_its_own() -> None:
    with closing(Layout()) as layout:
        ports = ports_of(layout)
    assert len({*ports}) == len(ports)


@pytest.mark.parametrize("service", [service.name for service in SERVICES])
def test_every_service_has_the_ports_of_two_replicas(service: str) -> None:
    with closing(Layout()) as layout:
        assert layout.replicas(service) == [layout[service], layout[f"{service}-2"]]
        assert len({*layout.replicas(service)}) == 2
