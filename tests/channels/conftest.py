"""A mail server that does what it is told, and a provider that sends to it."""

from collections.abc import AsyncIterator

import pytest

from email_service.providers.smtp import SmtpProvider
from tests.channels.smtp_support import provider_for
from tests.fakes.certificates import Certificate, make_certificate
from tests.fakes.smtp import FakeSmtpServer


@pytest.fixture
async def server() -> AsyncIterator[FakeSmtpServer]:
    async with FakeSmtpServer() as running:
        yield running


@pytest.fixture
async def provider(server: FakeSmtpServer) -> AsyncIterator[SmtpProvider]:
    async with provider_for(server.port) as made:
        yield made


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))
