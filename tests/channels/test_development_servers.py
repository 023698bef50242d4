"""What holds against the fakes of the tests holds against the servers that `carillon up` starts."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from functools import partial
from pathlib import Path

import httpx
import pytest

from carillon.embedded.ports import free_port
from carillon.mailbox.smtp import listen
from carillon.mailbox.store import MailStore
from carillon.push_standin.service_account import make_private_key, service_account_json
from push_service.providers.fcm import FcmProvider, read_service_account
from shared.delivery.outcomes import Accepted, Rejected, Retryable, Throttled
from shared.process.clock import SystemClock
from tests.channels.calls import a_push_call, an_email_call
from tests.channels.smtp_support import provider_for
from tests.fakes.fcm import FakeFcm, error_answer
from tests.fakes.smtp import FakeSmtpServer


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """A server that takes mail, and what it took: recipient and bytes."""

    port: int
    received: Callable[[], list[tuple[str, bytes]]]


@asynccontextmanager
async def fake_mail_server() -> AsyncIterator[MailServer]:
    async with FakeSmtpServer() as server:
        yield MailServer(
            port=server.port, received=lambda: [(mail.recipient, mail.data) for mail in server.mails]
        )


@asynccontextmanager
async def development_mailbox() -> AsyncIterator[MailServer]:
    store = MailStore(capacity=100, capacity_bytes=10**7, now=lambda: datetime(2026, 3, 1, tzinfo=UTC))
    server = await listen(store, host="127.0.0.1", port=0, size_limit=1_000_000)
    try:
        yield MailServer(
            port=server.sockets[0].getsockname()[1],
            received=lambda: [(mail.recipients[0], mail.raw) for mail in reversed(store.newest_first())],
        )
    finally:
        server.close()
        await asyncio.sleep(0)


@pytest.fixture(params=[fake_mail_server, development_mailbox], ids=["fake", "mailbox"])
async def mail_server(request: pytest.FixtureRequest) -> AsyncIterator[MailServer]:
    async with request.param() as server:
        yield server


@pytest.mark.parametrize("address", ["ann@example.com", "jörg@example.com", '"a b"@example.com'])
async def test_mail_arrives_as_it_was_written(mail_server: MailServer, address: str) -> None:
    text = "Hello\n.\n.. dots\nGröße 38 ist da\n"
    async with provider_for(mail_server.port) as provider:
        await provider.check()
        outcome = await provider.send(an_email_call(address=address, name="Jörg, Ann", text=text))
    assert isinstance(outcome, Accepted)
    assert outcome.provider_message_id
    ((recipient, data),) = mail_server.received()
    assert recipient == address
    message = message_from_bytes(data, policy=policy.default)
    assert message["To"].addresses[0].display_name == "Jörg, Ann"
    part = message.get_body(("plain",))
    assert part is not None
    assert part.get_content().replace("\r\n", "\n") == text


async def test_mails_at_once_all_arrive(mail_server: MailServer) -> None:
    async with provider_for(mail_server.port) as provider:
        outcomes = await asyncio.gather(*(provider.send(an_email_call()) for _ in range(50)))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert len(mail_server.received()) == 50


async def test_mail_that_is_too_large_is_rejected(mail_server: MailServer) -> None:
    async with provider_for(mail_server.port) as provider:
        outcome = await provider.send(an_email_call(text="x" * 1_500_000))
        assert isinstance(outcome, Rejected)
        assert outcome.problem.kind == "message.too_large"
        assert isinstance(await provider.send(an_email_call()), Accepted)


@dataclass(frozen=True, kw_only=True)
class PushServer:
    """A server that speaks FCM, and the key to it."""

    url: str
    account: Path


@asynccontextmanager
async def fake_push_server(folder: Path) -> AsyncIterator[PushServer]:
    async with FakeFcm() as fcm:
        fcm.order(
            "send",
            error_answer(404, "NOT_FOUND", code="UNREGISTERED"),
            error_answer(400, "INVALID_ARGUMENT", code="INVALID_ARGUMENT", field="message.token"),
            error_answer(403, "PERMISSION_DENIED", code="SENDER_ID_MISMATCH"),
            error_answer(429, "RESOURCE_EXHAUSTED", code="QUOTA_EXCEEDED", headers={"Retry-After": "2"}),
            error_answer(503, "UNAVAILABLE", code="UNAVAILABLE"),
        )
        yield PushServer(url=fcm.url, account=fcm.write_account(folder))


@asynccontextmanager
async def push_standin(folder: Path) -> AsyncIterator[PushServer]:
    port = free_port()
    url, account = f"http://127.0.0.1:{port}", folder / "account.json"
    account.write_text(service_account_json(private_key=make_private_key(), base_url=url))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "carillon.push_standin",
        env=os.environ | {"CARILLON_PORT": str(port), "CARILLON_FCM_CREDENTIALS_FILE": str(account)},
    )
    try:
        async with asyncio.timeout(20), httpx.AsyncClient(trust_env=False) as client:
            while not await _answers(client, f"{url}/api/v1/messages"):
                await asyncio.sleep(0.05)
        yield PushServer(url=url, account=account)
    finally:
        process.terminate()
        await process.wait()


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("server", [fake_push_server, push_standin], ids=["fake", "stand-in"])
async def test_push_has_the_outcomes_that_fcm_documents(
    server: Callable[[Path], AbstractAsyncContextManager[PushServer]], tmp_path: Path
) -> None:
    async with server(tmp_path) as push:
        provider = FcmProvider(partial(read_service_account, push.account), url=push.url, clock=SystemClock())
        try:
            await provider.check()
            for token, outcome, kind in [
                ("unregistered-1", Rejected, "address.unregistered"),
                ("invalid-1", Rejected, "address.invalid"),
                ("mismatched-1", Rejected, "address.refused"),
                ("throttled-1", Throttled, "provider.throttled"),
                ("unavailable-1", Retryable, "provider.unavailable"),
            ]:
                found = await provider.send(a_push_call(token=token))
                assert not isinstance(found, Accepted)
                assert (type(found), found.problem.kind) == (outcome, kind)
                assert token not in found.problem.message
            assert isinstance(await provider.send(a_push_call()), Accepted)
        finally:
            await provider.close()
