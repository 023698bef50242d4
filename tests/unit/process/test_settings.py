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


def test_blocks_share_one_namespace() -> None:
    assert issubclass(EveryBlock, SettingsBlock)
    assert EveryBlock.model_config["env_prefix"] == "CARILLON_"
