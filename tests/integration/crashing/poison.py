"""An email service that some messages end, and others hang: what a defect in a library would do."""

import os
import signal

from fastapi import FastAPI

from email_service.channel import EmailChannel
from email_service.main import smtp_provider
from email_service.settings import EmailSettings
from shared.contracts.channels import EmailContent
from shared.delivery.app import create_channel_app
from shared.delivery.provider import RenderedMessage
from tests.integration.crashing.service_process import Settings

DEADLY = "cyanide"
PARALYSING = "curare"


class PoisonableChannel(EmailChannel):
    """Falls for two words."""

    def content(self, rendered: RenderedMessage) -> EmailContent:
        """As the real one, if it gets so far."""
        if DEADLY in rendered.body:
            os.kill(os.getpid(), signal.SIGKILL)
        while PARALYSING in rendered.body:
            pass
        return super().content(rendered)


def create_poisonable_app(settings: Settings) -> FastAPI:
    """The email service with that channel."""
    assert isinstance(settings, EmailSettings)
    return create_channel_app(
        settings=settings, adapter=PoisonableChannel(), providers=[smtp_provider(settings)]
    )
