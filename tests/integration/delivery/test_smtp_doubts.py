"""A mail server that took a mail, and broke off before it said so."""

import re
from dataclasses import replace

import pytest

from email_service.providers.smtp import SmtpProvider
from shared.contracts.channels import EmailContent
from shared.contracts.delivery import DeliveryState
from shared.delivery.outcomes import Outcome
from shared.delivery.provider import ProviderCall
from tests.channels.smtp_support import provider_for
from tests.fakes.delivery import People, ScriptedProvider, Templates
from tests.fakes.smtp import FakeSmtpServer, Reset
from tests.integration.delivery.conftest import ChannelUnderTest, OpenChannel
from tests.integration.delivery.scenes import WELCOME, a_request

CATEGORIES = ["security", "transactional", "promotional"]


class Mailing(ScriptedProvider):
    """Makes a mail of each call, and hands it to the real provider."""

    def __init__(self, smtp: SmtpProvider) -> None:
        super().__init__(name=smtp.name, recourse=smtp.recourse)
        self._smtp = smtp

    async def send(self, call: ProviderCall[str]) -> Outcome:
        """To the address of the call."""
        self.calls.append(call)
        content = EmailContent(subject="Hello", html=f"<p>{call.content}</p>", text=call.content)
        return await self._smtp.send(
            ProviderCall(
                notification_id=call.notification_id,
                run=call.run,
                attempt=call.attempt,
                message_id=call.message_id,
                category=call.category,
                target=replace(call.target, address="ann@example.com"),
                content=content,
                created_at=call.created_at,
                deadline=call.deadline,
                correlation_id=call.correlation_id,
            )
        )


async def opened(open_channel: OpenChannel, smtp: SmtpProvider) -> ChannelUnderTest:
    return await open_channel(People(), Templates(WELCOME), Mailing(smtp))


def message_ids(server: FakeSmtpServer) -> list[bytes]:
    return [found[1] for mail in server.mails if (found := re.search(rb"Message-ID: (<.*>)", mail.data))]


@pytest.mark.parametrize("category", CATEGORIES)
async def test_a_server_that_knows_message_ids_gets_the_mail_again_and_the_reader_gets_it_once(
    open_channel: OpenChannel, category: str
) -> None:
    async with (
        FakeSmtpServer(knows_message_ids=True) as server,
        provider_for(server.port, same_message_id_s=300.0) as smtp,
    ):
        channel = await opened(open_channel, smtp)
        request = a_request(None, address="ann@example.com", category=category)
        server.order("body", Reset(), Reset())

        await channel.deliver(request)
        for _ in range(2):
            await channel.pass_time()
            await channel.deliver(request, known=True)

        row = await channel.row(request)
        assert row.state is DeliveryState.SENT
        assert not row.possible_duplicate
        assert [attempt.outcome for attempt in row.attempts] == ["unknown", "unknown", "accepted"]
        assert (len(server.mails), server.repeats) == (1, 2)


async def test_a_server_that_does_not_know_them_gets_it_again_and_it_is_said(
    open_channel: OpenChannel,
) -> None:
    async with FakeSmtpServer() as server, provider_for(server.port) as smtp:
        channel = await opened(open_channel, smtp)
        request = a_request(None, address="ann@example.com")
        server.order("body", Reset())

        await channel.deliver(request)
        await channel.pass_time()
        await channel.deliver(request, known=True)

        row = await channel.row(request)
        assert row.state is DeliveryState.SENT
        assert row.possible_duplicate
        assert len(server.mails) == 2
        assert len(set(message_ids(server))) == 1
