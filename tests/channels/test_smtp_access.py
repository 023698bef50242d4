"""The SMTP provider's way in: TLS, login and readiness."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from pydantic import SecretStr

from email_service.providers.smtp import SmtpProvider, SmtpServer
from shared.delivery.outcomes import Accepted, Retryable
from tests.channels.calls import an_email_call
from tests.channels.smtp_support import provider_for, summary
from tests.fakes.certificates import Certificate
from tests.fakes.smtp import FakeSmtpServer


async def test_login_and_starttls(certificate: Certificate) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            FakeSmtpServer(login=("carillon", "s3cret"), tls=certificate.server_context())
        )
        provider = await stack.enter_async_context(
            provider_for(
                server.port,
                tls="starttls",
                tls_context=certificate.client_context(),
                username="carillon",
                password=SecretStr("s3cret"),
            )
        )
        await provider.check()
        assert isinstance(await provider.send(an_email_call()), Accepted)
        assert "STARTTLS" in server.commands


async def test_tls_from_the_first_byte(certificate: Certificate) -> None:
    async with (
        FakeSmtpServer(tls=certificate.server_context(), tls_from_start=True) as server,
        provider_for(server.port, tls="tls", tls_context=certificate.client_context()) as provider,
    ):
        assert isinstance(await provider.send(an_email_call()), Accepted)


async def test_wrong_password_burns_no_mail_and_is_not_in_the_message() -> None:
    async with (
        FakeSmtpServer(login=("carillon", "s3cret")) as server,
        provider_for(server.port, username="carillon", password=SecretStr("hunter2")) as provider,
    ):
        outcome = await provider.send(an_email_call())
        assert summary(outcome) == (Retryable, "provider.misconfigured")
        assert "hunter2" not in repr(outcome)
        with pytest.raises(ConnectionError, match="535 at AUTH"):
            await provider.check()


@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_certificate_not_to_be_trusted_burns_no_mail(certificate: Certificate, mode: str) -> None:
    async with (
        FakeSmtpServer(tls=certificate.server_context(), tls_from_start=mode == "tls") as server,
        provider_for(server.port, tls=mode) as provider,
    ):
        assert summary(await provider.send(an_email_call())) == (Retryable, "provider.misconfigured")
        assert not server.mails


async def test_mail_is_never_sent_in_the_clear_where_tls_is_asked_for(server: FakeSmtpServer) -> None:
    async with provider_for(server.port, tls="starttls") as provider:
        assert summary(await provider.send(an_email_call())) == (Retryable, "provider.misconfigured")
    assert not any(command.startswith("MAIL") for command in server.commands)


async def test_check_says_when_the_server_is_away_and_when_it_is_back() -> None:
    now = 100.0
    server = FakeSmtpServer()
    async with server:
        pass
    async with provider_for(server.port, monotonic=lambda: now) as provider:
        with pytest.raises(ConnectionError, match="no connection"):
            await provider.check()
        async with server:
            with pytest.raises(ConnectionError):
                await provider.check()
            now += 6
            await provider.check()


async def test_check_asks_once_for_many(server: FakeSmtpServer, provider: SmtpProvider) -> None:
    await asyncio.gather(*(provider.check() for _ in range(10)))
    assert server.connections == 1


def test_password_is_not_in_the_server_s_description() -> None:
    server = SmtpServer(host="h", port=25, tls="none", ehlo_name="e", password=SecretStr("hunter2"))
    assert "hunter2" not in repr(server)
