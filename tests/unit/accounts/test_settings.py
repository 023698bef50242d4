"""Production takes no default that is meant for a developer's machine."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway_service.settings import AccessSettings
from user_service.settings import UserServiceSettings

PRODUCTION = {
    "environment": "production",
    "database_url": "postgresql://carillon:x@db:5432/user_db",
    "service_secret": "s" * 32,
    "token_signing_key_file": Path("/run/secrets/signing.pem"),
}


def test_production_starts_with_values_of_its_own() -> None:
    assert UserServiceSettings.model_validate(PRODUCTION).port == 8001


@pytest.mark.parametrize(
    "wrong",
    [
        {"token_signing_key_file": None},
        {"password_rounds": 9},
        {"service_secret": "short"},
        {"database_url": "postgresql://postgres@127.0.0.1:5432/carillon"},
    ],
)
def test_production_refuses_what_is_for_development(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        UserServiceSettings.model_validate({**PRODUCTION, **wrong})


@pytest.mark.parametrize("rate", ["", "many", "20 per fortnight"])
def test_rate_that_cannot_be_read_is_refused_at_the_start(rate: str) -> None:
    with pytest.raises(ValidationError):
        AccessSettings.model_validate({"register_rate": rate})


def test_revoked_key_may_not_be_remembered_longer_than_promised() -> None:
    with pytest.raises(ValidationError):
        AccessSettings.model_validate({"api_key_fresh_s": 11})
