"""How several processes share the run (`pytest -n 4`: twice the cores, since half of the time is waited).

What has a server or an installation in common runs in one process, so that none is started twice; everything
else stays with its file. What takes longest is begun first, or one process would end long before the other.
"""

import itertools
import re

import pytest
from xdist.scheduler import LoadScopeScheduling

# One after the other as a process gets free: whole installations beside what mostly waits.
_FIRST = (
    "on_postgres",
    "rabbitmq",
    "crashing on rabbitmq",
    "on_rabbitmq",
    "crashing",
    "rabbitmq-4",
    "restart rabbitmq",
    "tests/e2e/test_up.py",
)
_IS_EXPERIMENT = re.compile(r"tests/e2e/prove/.*::test_(nothing_is_lost|without_a_safeguard)").match
"""Each starts everything it needs, and takes a minute."""


def scheduler_of_groups(config: pytest.Config, log: object) -> object:
    """Gives whole groups to processes that are free. xdist's own, by marker, do not work on pytest 9.2."""
    config.option.loadscopereorder = False  # ours is the order
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = group_of
    return scheduler


def group_of(nodeid: str) -> str:
    """The group of a test, by where it is and what it names; a wrong one costs a second start, no more."""
    path, _, rest = nodeid.partition("::")
    named = re.search("rabbitmq-4|rabbitmq|postgres", rest)
    if path == "tests/e2e/test_failed_queue.py":
        path = "tests/integration/crashing/"  # the same servers, and the same way to start services
    if _IS_EXPERIMENT(nodeid):
        return nodeid
    if path.startswith("tests/e2e/") and path != "tests/e2e/test_up.py":
        return "on_rabbitmq" if "rabbitmq" in rest else "on_postgres"
    if path.startswith("tests/integration/broker/") and named is not None and "[" in rest:
        return f"restart {named[0]}" if path.endswith("test_restart.py") else named[0]
    if path.startswith("tests/integration/crashing/"):
        return "crashing on rabbitmq" if "rabbitmq" in rest else "crashing"
    return "rabbitmq" if "rabbitmq" in rest else path


def put_in_order(items: list[pytest.Item]) -> None:
    """What takes longest first, and experiments by turns with it: four at once would starve each other."""
    experiments = itertools.count(0, 2)
    places = {
        item.nodeid: next(experiments) if _IS_EXPERIMENT(item.nodeid) else 2 * _place_of(item.nodeid) + 1
        for item in items
    }
    items.sort(key=lambda item: places[item.nodeid])


def _place_of(nodeid: str) -> int:
    group = group_of(nodeid)
    return _FIRST.index(group) if group in _FIRST else len(_FIRST)


def is_one_of_several(config: pytest.Config) -> bool:
    """Whether this process shares the run with others."""
    return hasattr(config, "workerinput")
