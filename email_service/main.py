"""The email service: settings, adapters, app."""

from collections.abc import Sequence

from fastapi import FastAPI

from email_service.channel import EmailChannel
from email_service.providers.smtp import SmtpProvider, SmtpServer
from email_service.settings import EmailSettings
from shared.broker.interface import Broker
from shared.contracts.channels import EmailContent
from shared.delivery.app import create_channel_app
from shared.delivery.provider import Provider
from shared.process.clock import SystemClock


def create_app(
    settings: EmailSettings,
    *,
    providers: Sequence[Provider[EmailContent]] | None = None,
    broker: Broker | None = None,
) -> FastAPI:
    """The app; without `providers` it sends over the mail server of the settings."""
    return create_channel_app(
        settings=settings,
        adapter=EmailChannel(),
        providers=providers or (smtp_provider(settings),),
        broker=broker,
    )


def smtp_provider(settings: EmailSettings) -> SmtpProvider:
    """The SMTP provider as configured."""
    return SmtpProvider(
        SmtpServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            tls=settings.smtp_tls,
            ehlo_name=settings.smtp_ehlo_name or settings.sender.domain,
            username=settings.smtp_username,
            password=settings.smtp_password,
            connections=settings.smtp_connections,
            tls_context=settings.tls_context,
        ),
        sender=settings.sender,
        clock=SystemClock(),
        timeout_s=settings.smtp_timeout_s,
        same_message_id_s=settings.smtp_same_message_id_s,
    )
