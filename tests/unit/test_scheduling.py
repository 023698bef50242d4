"""What has a server in common stays together."""

import pytest

from tests.scheduling import group_of, put_in_order

BROKER = "tests/integration/broker"


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/e2e/test_faults.py::test_postgresql_away", "on_postgres"),
        ("tests/e2e/test_faults.py::test_rabbitmq_away", "on_rabbitmq"),
        ("tests/e2e/test_demo.py::test_x[on_rabbitmq]", "on_rabbitmq"),
        (
            "tests/e2e/prove/test_prove.py::test_nothing_is_lost[rabbitmq]",
            "tests/e2e/prove/test_prove.py::test_nothing_is_lost[rabbitmq]",
        ),
        ("tests/e2e/test_up.py::test_status", "tests/e2e/test_up.py"),
        (f"{BROKER}/test_sentinel.py::test_x[rabbitmq-4]", "rabbitmq-4"),
        (f"{BROKER}/test_publishing.py::test_x[1-rabbitmq]", "rabbitmq"),
        (f"{BROKER}/test_publishing.py::test_x[postgres]", "postgres"),
        (f"{BROKER}/test_restart.py::test_x[rabbitmq]", "restart rabbitmq"),
        ("tests/integration/gateway/test_faults.py::test_over_rabbitmq", "rabbitmq"),
        ("tests/integration/crashing/test_x.py::test_x[rabbitmq-point]", "crashing on rabbitmq"),
        ("tests/integration/crashing/test_x.py::test_x[postgres-point]", "crashing"),
        ("tests/unit/web/test_body.py::test_x[a]", "tests/unit/web/test_body.py"),
    ],
)
def test_a_group_is_what_shares_a_server(nodeid: str, group: str) -> None:
    assert group_of(nodeid) == group


def test_whole_installations_come_first_and_experiments_by_turns_with_them(
    request: pytest.FixtureRequest,
) -> None:
    prove = "tests/e2e/prove/test_prove.py::test_nothing_is_lost"
    names = [
        "tests/unit/a.py::test",
        "tests/e2e/test_up.py::test",
        f"{prove}[rabbitmq]",
        f"{prove}[embedded]",
        "tests/e2e/test_faults.py::test_2",
        "tests/e2e/test_faults.py::test_1",
    ]
    items: list[pytest.Item] = [Named.from_parent(request.session, nodeid=name, name=name) for name in names]

    put_in_order(items)

    assert [item.nodeid for item in items] == [names[n] for n in (2, 4, 5, 3, 1, 0)]


class Named(pytest.Item):
    """A test by its name alone."""

    def runtest(self) -> None:
        """Never."""
        raise NotImplementedError
