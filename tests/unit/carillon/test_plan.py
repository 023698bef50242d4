"""Which processes `carillon up` runs, and with which settings."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from carillon.plan import ProcessPlan, SecretFiles, Servers, plan_processes, with_database
from carillon.services import SERVICES
from carillon.settings import UpSettings, choose_ports
from carillon.setup_error import SetupError

SERVERS = Servers(
    database_url="postgresql://carillon:pw@127.0.0.1:5555/postgres",
    broker_url="amqp://guest:guest@127.0.0.1/",
    redis_url="redis://127.0.0.1:7777/0",
)
SECRETS = SecretFiles(
    service_secret="s" * 40,
    token_signing_key=Path("/home/key.pem"),
    fcm_credentials=Path("/home/fcm.json"),
)


def planned(inherited: Mapping[str, str] | None = None) -> dict[str, ProcessPlan]:
    plans = plan_processes(
        servers=SERVERS,
        secrets=SECRETS,
        ports=choose_ports(UpSettings()),
        host="127.0.0.1",
        inherited=inherited or {},
    )
    return {plan.name: plan for plan in plans}


def test_every_service_runs_on_its_port_with_a_database_of_its_own() -> None:
    plans = planned()
    for service in SERVICES:
        environment = plans[service.name].environment
        assert environment["CARILLON_PORT"] == str(service.port)
        assert environment["CARILLON_DATABASE_URL"].endswith(f"5555/{service.database}")
    databases = {plans[service.name].environment["CARILLON_DATABASE_URL"] for service in SERVICES}
    assert len(databases) == len(SERVICES)


def test_every_service_gets_the_same_broker_secret_and_peers() -> None:
    for plan in [plan for plan in planned().values() if plan.is_service]:
        assert plan.environment["CARILLON_BROKER_URL"] == SERVERS.broker_url
        assert plan.environment["CARILLON_SERVICE_SECRET"] == SECRETS.service_secret
        assert plan.environment["CARILLON_USER_SERVICE_URL"] == "http://127.0.0.1:8001"


def test_the_gateway_learns_where_each_channel_answers() -> None:
    urls = json.loads(planned()["gateway"].environment["CARILLON_CHANNEL_URLS"])
    assert urls == {"email": "http://127.0.0.1:8002", "push": "http://127.0.0.1:8003"}


def test_mail_goes_to_the_mailbox_unless_the_person_names_a_server() -> None:
    assert planned()["email"].environment["CARILLON_SMTP_PORT"] == "1025"
    own = planned({"CARILLON_SMTP_HOST": "mail.example.com", "CARILLON_SMTP_PORT": "587"})
    assert own["email"].environment["CARILLON_SMTP_HOST"] == "mail.example.com"
    assert own["email"].environment["CARILLON_SMTP_PORT"] == "587"


def test_half_a_mail_server_or_half_of_firebase_is_refused_by_name() -> None:
    for half, missing in (
        ({"CARILLON_SMTP_HOST": "mail.example.com"}, "CARILLON_SMTP_PORT"),
        ({"CARILLON_SMTP_PORT": "587"}, "CARILLON_SMTP_HOST"),
        ({"CARILLON_SMTP_PASSWORD": "pw"}, "CARILLON_SMTP_HOST, CARILLON_SMTP_PORT"),
        ({"CARILLON_FCM_URL": "https://fcm.example.com"}, "CARILLON_FCM_CREDENTIALS_FILE"),
    ):
        with pytest.raises(SetupError, match=f"not {missing}"):
            planned(half)


def test_an_account_of_firebase_is_used_at_firebase_and_never_shown_to_the_stand_in() -> None:
    plans = planned({"CARILLON_FCM_CREDENTIALS_FILE": "/mine/firebase.json"})
    assert "CARILLON_FCM_URL" not in plans["push"].environment
    assert plans["push"].environment["CARILLON_FCM_CREDENTIALS_FILE"] == "/mine/firebase.json"
    assert plans["push_standin"].environment["CARILLON_FCM_CREDENTIALS_FILE"] == "/home/fcm.json"


def test_development_tools_get_what_they_read_and_no_secret() -> None:
    plans = planned({"PATH": "/bin", "CARILLON_ADMIN_PASSWORD": "pw", "CARILLON_MAILBOX_CAPACITY": "7"})
    mailbox, standin = plans["mailbox"].environment, plans["push_standin"].environment
    assert (mailbox["PATH"], mailbox["CARILLON_MAILBOX_CAPACITY"]) == ("/bin", "7")
    assert mailbox["CARILLON_MAILBOX_SMTP_PORT"] == "1025"
    assert "CARILLON_FCM_CREDENTIALS_FILE" not in mailbox
    for given in (mailbox, standin):
        text = repr(dict(given))
        for secret in (
            SECRETS.service_secret,
            SERVERS.broker_url,
            SERVERS.redis_url,
            "key.pem",
            ":pw@",
            "'pw'",
        ):
            assert secret not in text


def test_a_port_that_the_person_set_for_one_process_does_not_reach_the_others() -> None:
    plans = planned({"CARILLON_PORT": "9999", "CARILLON_DATABASE_URL": "postgresql://elsewhere/x"})
    assert plans["gateway"].environment["CARILLON_PORT"] == "8000"
    assert "elsewhere" not in plans["gateway"].environment["CARILLON_DATABASE_URL"]


def test_stores_start_before_those_who_ask_them_and_stop_after_them() -> None:
    plans = planned()
    assert plans["mailbox"].stage < plans["user"].stage < plans["gateway"].stage == plans["email"].stage


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://a:b%2F@h:1/postgres", "postgresql://a:b%2F@h:1/user_db"),
        ("postgresql://h", "postgresql://h/user_db"),
        ("postgresql://h/x?sslmode=require", "postgresql://h/user_db?sslmode=require"),
    ],
)
def test_another_database_on_the_same_server_keeps_everything_else(url: str, expected: str) -> None:
    assert with_database(url, "user_db") == expected


def test_an_offset_moves_every_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARILLON_PORT_OFFSET", "1000")
    ports = choose_ports(UpSettings())
    assert (ports["gateway"], ports["mailbox_smtp"]) == (9000, 2025)


def test_a_port_of_its_own_goes_before_the_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARILLON_PORT_OFFSET", "1000")
    monkeypatch.setenv("CARILLON_GATEWAY_PORT", "80")
    assert choose_ports(UpSettings())["gateway"] == 80


@pytest.mark.parametrize("wrong", ["http", "0", "65536", "-1", "8001"])
def test_a_port_that_cannot_be_is_refused_by_name(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARILLON_GATEWAY_PORT", wrong)
    with pytest.raises(SetupError, match=r"gateway|CARILLON_GATEWAY_PORT"):
        choose_ports(UpSettings())
