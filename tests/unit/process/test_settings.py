"""The promises of the settings blocks."""

import pytest
from pydantic import SecretStr, ValidationError

from shared.process.settings import (
    BrokerSettings,
    DatabaseSettings,
    PeerSettings,
    ProcessSettings,
    RedisSettings,
    ServiceAuthSettings,
    SettingsBlock,
)


class EveryBlock(
    ProcessSettings, DatabaseSettings, BrokerSettings, RedisSettings, ServiceAuthSettings, PeerSettings
):
    """A service that needs everything."""


OWN_VALUES = {
    "CARILLON_DATABASE_URL": "postgresql://me:hunter2@db/mine",
    "CARILLON_BROKER_URL": "amqp://me:hunter2@mq/",
    "CARILLON_REDIS_URL": "redis://cache",
    "CARILLON_SERVICE_SECRET": "s" * 32,
    "CARILLON_USER_SERVICE_URL": "http://users",
    "CARILLON_TEMPLATE_SERVICE_URL": "http://templates",
}


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARILLON_PORT", "8123")
    monkeypatch.setenv("CARILLON_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("CARILLON_HOST", "")
    settings = ProcessSettings()
    assert (settings.port, settings.log_level, settings.host) == (8123, "DEBUG", "127.0.0.1")


@pytest.mark.parametrize(
    ("environment", "log_format"), [("development", "console"), ("test", "console"), ("production", "json")]
)
def test_logs_are_json_in_production(
    monkeypatch: pytest.MonkeyPatch, environment: str, log_format: str
) -> None:
    monkeypatch.setenv("CARILLON_ENVIRONMENT", environment)
    assert ProcessSettings().log_format == log_format
    monkeypatch.setenv("CARILLON_LOG_FORMAT", "console")
    assert ProcessSettings().log_format == "console"


@pytest.mark.parametrize("forgotten", OWN_VALUES)
def test_production_refuses_defaults_meant_for_development(
    monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    EveryBlock()
    monkeypatch.setenv("CARILLON_ENVIRONMENT", "production")
    for name, value in OWN_VALUES.items():
        monkeypatch.setenv(name, value)
    EveryBlock()
    monkeypatch.delenv(forgotten)
    with pytest.raises(ValidationError, match=forgotten):
        EveryBlock()


def test_a_short_secret_is_refused_everywhere() -> None:
    with pytest.raises(ValidationError, match="32 bytes"):
        ServiceAuthSettings(service_secret=SecretStr("s" * 31))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("CARILLON_DATABASE_URL", "mysql://hunter2@db/mine"),
        ("CARILLON_DATABASE_URL", "postgresql:hunter2"),
        ("CARILLON_DATABASE_URL", "postgresql://me:hunter2@db:port/mine"),
        ("CARILLON_BROKER_URL", "hunter2"),
        ("CARILLON_BROKER_URL", "amqp://"),
        ("CARILLON_BROKER_URL", "redis://hunter2"),
        ("CARILLON_BROKER_URL", "amqp://me:hunter2@mq:70000/"),
        ("CARILLON_REDIS_URL", "hunter2"),
        ("CARILLON_REDIS_URL", "https://hunter2"),
        ("CARILLON_REDIS_URL", "redis://[hunter2"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: str
) -> None:
    monkeypatch.setenv(name, wrong)
    with pytest.raises(ValidationError, match="not a URL such as") as caught:
        EveryBlock()
    assert [error["loc"] for error in caught.value.errors()] == [(name.removeprefix("CARILLON_").lower(),)]
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("CARILLON_DATABASE_URL", "postgresql:///mine?host=/run/postgresql"),
        ("CARILLON_DATABASE_URL", "postgres://db/mine"),
        ("CARILLON_BROKER_URL", "amqps://mq"),
        ("CARILLON_BROKER_URL", "postgresql://db:5432/broker_db"),
        ("CARILLON_REDIS_URL", "rediss://:pw@[::1]:6379/1"),
    ],
)
def test_the_other_spellings_of_an_address_are_taken(
    monkeypatch: pytest.MonkeyPatch, name: str, right: str
) -> None:
    monkeypatch.setenv(name, right)
    assert getattr(EveryBlock(), name.removeprefix("CARILLON_").lower()) == right


def test_errors_and_repr_tell_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OWN_VALUES.items():
        monkeypatch.setenv(name, value)
    settings = EveryBlock()
    assert "hunter2" not in repr(settings)
    assert OWN_VALUES["CARILLON_SERVICE_SECRET"] not in repr(settings)
    monkeypatch.setenv("CARILLON_SERVICE_SECRET", "hunter2")
    monkeypatch.setenv("CARILLON_DATABASE_POOL_SIZE", "hunter2")
    with pytest.raises(ValidationError) as caught:
        EveryBlock()
    assert "hunter2" not in str(caught.value)


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError):
        EveryBlock.model_validate({"prot": 1})


def test_who_a_service_is_cannot_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARILLON_SERVICE_NAME", "somebody_else")
    assert ProcessSettings().service_name == "carillon"
    with pytest.raises(ValidationError):
        ProcessSettings.model_validate({"service_name": "somebody_else"})


def test_blocks_share_one_namespace() -> None:
    assert issubclass(EveryBlock, SettingsBlock)
    assert EveryBlock.model_config["env_prefix"] == "CARILLON_"
