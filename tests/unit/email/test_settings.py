"""The email service's settings: what an operator gets wrong is refused before a mail goes out."""

from datetime import timedelta

import pytest
from pydantic import SecretStr, ValidationError

from email_service.main import smtp_provider
from email_service.settings import EmailSettings
from shared.delivery.recourse import NO_RECOURSE, Recourse

PRODUCTION = {
    "environment": "production",
    "database_url": "postgresql://u:p@db/email_db",
    "broker_url": "amqp://u:p@broker/",
    "service_secret": SecretStr("a secret of thirty-two bytes or more"),
    "user_service_url": "http://user:8001",
    "template_service_url": "http://template:8004",
    "email_from": "Shop <shop@example.com>",
    "smtp_host": "mail.example.com",
    "smtp_password": SecretStr("hunter2"),
    "smtp_tls": "starttls",
}


def settings(**changes: object) -> EmailSettings:
    return EmailSettings(**PRODUCTION | changes)  # type: ignore[arg-type]  # a builder takes any field


def test_sender_is_parsed() -> None:
    sender = settings().sender
    assert (sender.name, sender.address) == ("Shop", "shop@example.com")


def test_production_refuses_the_development_sender() -> None:
    with pytest.raises(ValidationError, match="CARILLON_EMAIL_FROM"):
        settings(email_from=EmailSettings.model_fields["email_from"].default)


def test_password_never_crosses_a_network_in_the_clear() -> None:
    with pytest.raises(ValidationError, match="in the clear"):
        settings(smtp_tls="none")
    assert settings(smtp_tls="none", smtp_host="127.0.0.1").tls_context is None
    assert settings(smtp_tls="none", smtp_password=None).tls_context is None


def test_tls_checks_the_server_s_certificate_and_name() -> None:
    context = settings().tls_context
    assert context is not None
    assert context.check_hostname


def test_password_is_not_in_the_settings_description() -> None:
    assert "hunter2" not in repr(settings())


def test_message_ids_are_no_keys_unless_the_operator_says_so() -> None:
    assert smtp_provider(settings()).recourse == NO_RECOURSE


def test_a_mail_is_repeated_only_where_it_arrives_while_its_message_id_is_known() -> None:
    provider = smtp_provider(settings(smtp_same_message_id_s=300.0, smtp_timeout_s=20.0))
    assert provider.recourse == Recourse(same_key=timedelta(seconds=280))
    too_short = settings(smtp_same_message_id_s=20.0, smtp_timeout_s=20.0)
    assert smtp_provider(too_short).recourse == NO_RECOURSE


@pytest.mark.parametrize("wrong", [-1, "nan", "inf"])
def test_a_time_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match="smtp_same_message_id_s"):
        settings(smtp_same_message_id_s=wrong)
