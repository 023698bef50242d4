"""In which installation a demo may take place."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from carillon.demo.report import percentile
from carillon.demo.venue import broker_fits, broker_name, check_caught
from carillon.installation import caught_channels
from carillon.plan import SecretFiles, Servers, plan_processes
from carillon.run_record import RunRecord
from carillon.settings import UpSettings, choose_ports
from carillon.setup_error import SetupError

POSTGRES, RABBITMQ = "postgresql://carillon:pw@127.0.0.1:5555/broker_db", "amqp://guest:guest@127.0.0.1:5672/"


def record(inherited: Mapping[str, str]) -> RunRecord:
    """Of an installation that was started with these variables."""
    plans = plan_processes(
        servers=Servers(database_url=POSTGRES, broker_url=POSTGRES, redis_url="redis://127.0.0.1:7777/0"),
        secrets=SecretFiles(
            service_secret="s" * 40, token_signing_key=Path("/key.pem"), fcm_credentials=Path("/fcm.json")
        ),
        ports=choose_ports(UpSettings()),
        host="127.0.0.1",
        inherited=inherited,
    )
    return RunRecord(
        pid=1, addresses={}, services=[], database_url="", processes=[], caught=caught_channels(plans)
    )


@pytest.mark.parametrize(
    ("running", "wanted", "fits"),
    [
        (POSTGRES, None, True),
        (RABBITMQ, None, True),
        (POSTGRES, "embedded", True),
        (RABBITMQ, "embedded", False),
        (RABBITMQ, "rabbitmq", True),
        (POSTGRES, "rabbitmq", False),
        (RABBITMQ, RABBITMQ.rstrip("/"), True),
        (RABBITMQ, "amqp://guest:guest@127.0.0.1:5673/", False),
        ("", "embedded", False),
        ("", "rabbitmq", False),
    ],
)
def test_what_runs_is_used_only_with_the_broker_that_is_asked_for(
    running: str, wanted: str | None, fits: bool
) -> None:
    assert broker_fits(running, wanted=wanted) is fits


def test_a_broker_is_named_without_its_password() -> None:
    assert (broker_name(None), broker_name(POSTGRES), broker_name(RABBITMQ)) == (
        "PostgreSQL",
        "PostgreSQL",
        "RabbitMQ",
    )


def test_an_installation_that_catches_everything_is_good_for_a_demo() -> None:
    assert record({}).caught == ["email", "push"]
    check_caught(record({}))


@pytest.mark.parametrize(
    ("inherited", "named"),
    [
        ({"CARILLON_SMTP_HOST": "mail.example.com", "CARILLON_SMTP_PORT": "587"}, "email"),
        ({"CARILLON_FCM_CREDENTIALS_FILE": "/mine/firebase.json"}, "push"),
    ],
)
def test_nothing_is_sent_where_it_would_reach_a_real_provider(
    inherited: Mapping[str, str], named: str
) -> None:
    with pytest.raises(SetupError, match=f"sends {named} to a provider outside"):
        check_caught(record(inherited))


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([3.0, 1.0, 2.0], 99, 3.0),
        (list(map(float, range(1, 101))), 99, 99.0),
        (list(map(float, range(1, 101))), 50, 50.0),
        ([5.0], 50, 5.0),
        ([], 50, None),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], percent: float, expected: float | None
) -> None:
    assert percentile(values, percent) == expected
