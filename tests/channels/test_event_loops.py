"""The providers on uvloop, which the services run on and whose transports differ from asyncio's."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from shared.delivery.outcomes import Accepted, Retryable, Unknown
from tests.channels.calls import an_email_call
from tests.channels.smtp_support import provider_for, summary
from tests.fakes.smtp import FakeSmtpServer, Hang, Reset


async def mails_are_sent() -> None:
    async with FakeSmtpServer() as server, provider_for(server.port) as provider:
        outcomes = await asyncio.gather(*(provider.send(an_email_call()) for _ in range(20)))
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert len(server.mails) == 20


async def reset_after_the_final_dot_is_a_doubt() -> None:
    async with FakeSmtpServer() as server, provider_for(server.port) as provider:
        server.order("body", Reset())
        assert isinstance(await provider.send(an_email_call()), Unknown)


async def silence_after_the_final_dot_is_a_doubt() -> None:
    async with FakeSmtpServer() as server, provider_for(server.port, timeout_s=1.0) as provider:
        server.order("body", Hang())
        assert isinstance(await provider.send(an_email_call()), Unknown)


async def body_stuck_in_our_own_buffer_is_no_doubt() -> None:
    async with FakeSmtpServer(largest=10**9) as server, provider_for(server.port, timeout_s=1.0) as provider:
        server.order("reading", Hang())
        outcome = await provider.send(an_email_call(text="x" * 20_000_000))
        assert summary(outcome) == (Retryable, "provider.timeout")


@pytest.mark.parametrize(
    "promise",
    [
        mails_are_sent,
        reset_after_the_final_dot_is_a_doubt,
        silence_after_the_final_dot_is_a_doubt,
        body_stuck_in_our_own_buffer_is_no_doubt,
    ],
    ids=lambda promise: promise.__name__,
)
def test_smtp_on_uvloop(promise: Callable[[], Coroutine[None, None, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(promise())
