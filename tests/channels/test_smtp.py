"""The SMTP provider over real connections: mails, addresses, kept connections."""

import asyncio
from email import message_from_bytes, policy

import pytest

from email_service.providers.smtp import SmtpProvider
from shared.delivery.outcomes import Accepted, Rejected, Retryable, Throttled
from tests.channels.calls import an_email_call
from tests.channels.smtp_support import provider_for, summary
from tests.fakes.smtp import Answer, FakeSmtpServer, Fault, Hang, Reset


async def test_mail_arrives_as_it_was_written(server: FakeSmtpServer, provider: SmtpProvider) -> None:
    text = "Hello Ann\n.\n..dots\n. and\n\nÜber alles\n"
    outcome = await provider.send(an_email_call(text=text, subject="Größe 38 ist da"))
    assert outcome == Accepted(provider_message_id="FAKE1")
    (mail,) = server.mails
    assert (mail.sender, mail.recipient) == ("no-reply@carillon.localhost", "ann.doe@example.com")
    message = message_from_bytes(mail.data, policy=policy.default)
    assert message["Subject"] == "Größe 38 ist da"
    part = message.get_body(("plain",))
    assert part is not None
    assert part.get_content().replace("\r\n", "\n") == text


async def test_mails_in_a_row_use_one_connection(server: FakeSmtpServer, provider: SmtpProvider) -> None:
    for _ in range(5):
        assert isinstance(await provider.send(an_email_call()), Accepted)
    assert server.connections == 1
    assert len(server.mails) == 5


async def test_mails_at_once_use_no_more_connections_than_allowed(
    server: FakeSmtpServer, provider: SmtpProvider
) -> None:
    outcomes = await asyncio.gather(*(provider.send(an_email_call()) for _ in range(60)))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert len(server.mails) == 60
    assert server.connections <= 4


async def test_connection_is_left_after_a_hundred_mails(
    server: FakeSmtpServer, provider: SmtpProvider
) -> None:
    for _ in range(101):
        assert isinstance(await provider.send(an_email_call()), Accepted)
    assert server.connections == 2
    assert [mail.connection for mail in server.mails].count(1) == 100


async def test_connection_closed_while_idle_spends_no_attempt(
    server: FakeSmtpServer, provider: SmtpProvider
) -> None:
    await asyncio.gather(*(provider.send(an_email_call()) for _ in range(8)))
    await server.drop_connections()
    assert isinstance(await provider.send(an_email_call()), Accepted)


@pytest.mark.parametrize("fault", [Reset(), Answer("421 4.4.2 idle for too long")])
async def test_kept_connection_that_dies_at_the_first_word_spends_no_attempt(
    server: FakeSmtpServer, provider: SmtpProvider, fault: Fault
) -> None:
    assert isinstance(await provider.send(an_email_call()), Accepted)
    server.order("mail", fault)
    assert isinstance(await provider.send(an_email_call()), Accepted)
    assert server.connections == 2
    assert len(server.mails) == 2


async def test_connection_idle_for_a_while_is_asked_first(server: FakeSmtpServer) -> None:
    now = 100.0
    async with provider_for(server.port, monotonic=lambda: now) as provider:
        call = an_email_call(deadline_in_s=10**9)
        assert isinstance(await provider.send(call), Accepted)
        now += 6
        server.order("noop", Reset())
        assert isinstance(await provider.send(call), Accepted)
        now += 6
        assert isinstance(await provider.send(call), Accepted)
    assert server.commands.count("NOOP") == 2
    assert server.connections == 2


async def test_connection_idle_for_long_is_not_used_again(server: FakeSmtpServer) -> None:
    now = 100.0
    async with provider_for(server.port, monotonic=lambda: now) as provider:
        call = an_email_call(deadline_in_s=10**9)
        assert isinstance(await provider.send(call), Accepted)
        now += 31
        assert isinstance(await provider.send(call), Accepted)
    assert server.connections == 2


async def test_server_with_room_for_fewer_connections_gets_fewer() -> None:
    async with FakeSmtpServer(most_connections=2) as server, provider_for(server.port) as provider:
        outcomes = await asyncio.gather(*(provider.send(an_email_call()) for _ in range(40)))
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert len(server.mails) == 40


async def test_time_up_while_our_connections_are_busy_spends_no_attempt(server: FakeSmtpServer) -> None:
    server.order("mail", Hang())
    async with provider_for(server.port, timeout_s=1.0, connections=1) as provider:
        first = asyncio.create_task(provider.send(an_email_call()))
        while "MAIL" not in "".join(server.commands):
            await asyncio.sleep(0.01)
        assert isinstance(await provider.send(an_email_call(deadline_in_s=0.1)), Throttled)
        assert isinstance(await first, Retryable)


@pytest.mark.parametrize("address", ["no at sign", "a b@example.com", "a@b\r\nRCPT TO:<c@example.com>"])
async def test_invalid_address_is_rejected_without_a_connection(
    server: FakeSmtpServer, provider: SmtpProvider, address: str
) -> None:
    outcome = await provider.send(an_email_call(address=address))
    assert summary(outcome) == (Rejected, "address.invalid")
    assert isinstance(outcome, Rejected)
    assert address not in outcome.problem.message
    assert server.connections == 0


async def test_header_injection_is_rejected(server: FakeSmtpServer, provider: SmtpProvider) -> None:
    outcome = await provider.send(an_email_call(subject="Hello\r\nBcc: x@example.com"))
    assert summary(outcome) == (Rejected, "message.invalid")
    assert not server.mails


async def test_address_beyond_ascii_goes_to_a_server_that_takes_it(
    server: FakeSmtpServer, provider: SmtpProvider
) -> None:
    assert isinstance(await provider.send(an_email_call(address="jörg@münchen.example")), Accepted)
    assert server.mails[0].recipient == "jörg@xn--mnchen-3ya.example"
    assert any(command.startswith("MAIL") and "SMTPUTF8" in command for command in server.commands)


async def test_address_beyond_ascii_is_rejected_where_the_server_does_not_take_it() -> None:
    async with FakeSmtpServer(extensions=("8BITMIME",)) as server, provider_for(server.port) as provider:
        outcome = await provider.send(an_email_call(address="jörg@example.com"))
        assert summary(outcome) == (Rejected, "address.unsupported")
        # The domain alone needs no such server.
        assert isinstance(await provider.send(an_email_call(address="ann@münchen.example")), Accepted)


async def test_close_leaves_no_connection(server: FakeSmtpServer) -> None:
    async with provider_for(server.port) as provider:
        await asyncio.gather(*(provider.send(an_email_call()) for _ in range(8)))
        assert server.open_connections > 0
    async with asyncio.timeout(2):
        while server.open_connections:
            await asyncio.sleep(0.01)
