"""The SMTP provider and a mail server that misbehaves to order."""

import asyncio

import pytest

from email_service.providers.smtp import SmtpProvider
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown
from tests.channels.calls import an_email_call
from tests.channels.smtp_support import provider_for, summary
from tests.fakes.smtp import Answer, FakeSmtpServer, Fault, Hang, Reset


@pytest.mark.parametrize(
    ("stage", "answer", "expected"),
    [
        ("connect", "421 4.3.2 too busy", (Retryable, "provider.unavailable")),
        ("connect", "554 5.7.1 no service for you", (Retryable, "provider.misconfigured")),
        ("mail", "451 4.3.0 later", (Retryable, "provider.unavailable")),
        ("mail", "550 5.7.1 not your address", (Retryable, "provider.misconfigured")),
        ("mail", "552 5.3.4 too large", (Rejected, "message.too_large")),
        ("rcpt", "450 4.2.0 greylisted", (Retryable, "address.deferred")),
        ("rcpt", "452 4.5.3 too many recipients", (Retryable, "address.deferred")),
        ("rcpt", "550 5.1.1 <ann.doe@example.com> unknown", (Rejected, "address.refused")),
        ("rcpt", "550-5.1.1 no such user\n550 5.1.1 as I said", (Rejected, "address.refused")),
        ("data", "451 4.3.0 later", (Retryable, "provider.unavailable")),
        ("data", "554 5.5.1 no", (Rejected, "message.refused")),
        ("body", "451 4.7.1 later", (Retryable, "provider.unavailable")),
        ("body", "421 4.3.0 going down", (Retryable, "provider.unavailable")),
        ("body", "552 5.3.4 too large", (Rejected, "message.too_large")),
        ("body", "554 5.7.1 spam", (Rejected, "message.refused")),
        ("mail", "450 4.7.1 Error: too much mail from 127.0.0.1", (Throttled, "provider.throttled")),
        ("rcpt", "451 4.7.500 Server busy", (Throttled, "provider.throttled")),
        (
            "body",
            "454 Throttling failure: Maximum sending rate exceeded.",
            (Throttled, "provider.throttled"),
        ),
        ("body", "451 4.7.1 Greylisted", (Retryable, "address.deferred")),
        ("body", "this is not SMTP", (Unknown, "provider.disconnected")),
        ("mail", "this is not SMTP", (Retryable, "provider.disconnected")),
    ],
)
async def test_refusal_has_its_outcome_and_the_next_mail_is_sent(
    *,
    server: FakeSmtpServer,
    provider: SmtpProvider,
    stage: str,
    answer: str,
    expected: tuple[type[Outcome], str],
) -> None:
    server.order(stage, Answer(answer))
    outcome = await provider.send(an_email_call())
    assert summary(outcome) == expected
    assert not server.mails
    assert isinstance(await provider.send(an_email_call()), Accepted)
    assert len(server.mails) == 1


async def test_kept_connections_are_not_tried_in_turn_where_we_are_to_slow_down(
    server: FakeSmtpServer, provider: SmtpProvider
) -> None:
    assert isinstance(await provider.send(an_email_call()), Accepted)
    server.order_always("mail", Answer("421 4.7.0 [TSS04] temporarily deferred, wait 7 minutes"))
    outcome = await provider.send(an_email_call())
    assert isinstance(outcome, Throttled)
    assert outcome.after_s == 420
    assert sum(command.startswith("MAIL") for command in server.commands) == 2


async def test_refused_recipient_costs_no_connection(server: FakeSmtpServer, provider: SmtpProvider) -> None:
    server.order("rcpt", Answer("550 5.1.1 no"), Answer("550 5.1.1 no"))
    for _ in range(2):
        assert isinstance(await provider.send(an_email_call()), Rejected)
    assert isinstance(await provider.send(an_email_call()), Accepted)
    assert server.connections == 1


async def test_server_s_text_reaches_the_operator_without_the_address(
    server: FakeSmtpServer, provider: SmtpProvider
) -> None:
    server.order("rcpt", Answer("550 5.1.1 <ann.doe@example.com>: ann.doe is no user here"))
    outcome = await provider.send(an_email_call())
    assert isinstance(outcome, Rejected)
    assert outcome.problem.message == (
        "The mail server answered 550 to RCPT TO: 5.1.1 <…>: <…> is no user here"
    )


@pytest.mark.parametrize("fault", [Hang(), Reset()])
@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data"])
async def test_silence_or_reset_before_the_body_can_be_tried_again(
    server: FakeSmtpServer, stage: str, fault: Fault
) -> None:
    server.order(stage, fault)
    async with provider_for(server.port, timeout_s=1.0) as provider:
        assert isinstance(await provider.send(an_email_call()), Retryable)
        assert not server.mails
        assert isinstance(await provider.send(an_email_call()), Accepted)


@pytest.mark.parametrize("fault", [Hang(), Reset()])
async def test_silence_or_reset_after_the_final_dot_is_a_doubt(server: FakeSmtpServer, fault: Fault) -> None:
    server.order("body", fault)
    async with provider_for(server.port, timeout_s=1.0) as provider:
        outcome = await provider.send(an_email_call())
        assert isinstance(outcome, Unknown)
        assert len(server.mails) == 1
        assert isinstance(await provider.send(an_email_call()), Accepted)


async def test_reset_while_the_server_reads_the_body_is_a_doubt(server: FakeSmtpServer) -> None:
    server.order("reading", Reset())
    async with provider_for(server.port) as provider:
        assert summary(await provider.send(an_email_call())) == (Unknown, "provider.disconnected")
        assert isinstance(await provider.send(an_email_call()), Accepted)


async def test_body_that_stuck_in_our_own_buffer_is_no_doubt() -> None:
    async with FakeSmtpServer(largest=10**9) as server, provider_for(server.port, timeout_s=1.0) as provider:
        server.order("reading", Hang())
        outcome = await provider.send(an_email_call(text="x" * 20_000_000))
        assert summary(outcome) == (Retryable, "provider.timeout")
        assert not server.mails


async def test_nothing_is_sent_after_the_deadline(server: FakeSmtpServer, provider: SmtpProvider) -> None:
    outcome = await provider.send(an_email_call(deadline_in_s=-0.001))
    assert summary(outcome) == (Retryable, "deadline.passed")
    assert server.connections == 0


async def test_deadline_is_looked_at_again_right_before_the_body(server: FakeSmtpServer) -> None:
    readings = iter([100.0])
    # The first look lets the mail begin; by the time of the body its deadline is behind it.
    async with provider_for(server.port, monotonic=lambda: next(readings, 10.0**12)) as provider:
        outcome = await provider.send(an_email_call(deadline_in_s=10**9))
    assert summary(outcome) == (Retryable, "deadline.passed")
    assert "DATA" in server.commands
    assert not server.mails


async def test_cancelled_mail_leaves_no_connection_in_the_middle(server: FakeSmtpServer) -> None:
    server.order("rcpt", Hang())
    async with provider_for(server.port, connections=1) as provider:
        sending = asyncio.create_task(provider.send(an_email_call()))
        while "RCPT" not in "".join(server.commands):
            await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert isinstance(await provider.send(an_email_call()), Accepted)


async def test_absent_server_can_be_tried_again() -> None:
    async with FakeSmtpServer() as server:
        port = server.port
    async with provider_for(port) as provider:
        assert summary(await provider.send(an_email_call())) == (Retryable, "provider.unreachable")
