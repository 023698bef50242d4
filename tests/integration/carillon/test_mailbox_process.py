"""The mailbox over real SMTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import aiosmtplib
import pytest

from carillon.mailbox.smtp import listen
from carillon.mailbox.store import MailStore

RAW = "Subject: Grüße\r\n\r\n.leading dot\r\nLine\r\n".encode()


@pytest.fixture
def store() -> MailStore:
    return MailStore(capacity=10, capacity_bytes=1_000_000, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
async def smtp(store: MailStore) -> AsyncIterator[aiosmtplib.SMTP]:
    server = await listen(store, host="127.0.0.1", port=0, size_limit=100_000)
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=server.sockets[0].getsockname()[1], start_tls=False)
    await client.connect()
    yield client
    if client.is_connected:
        await client.quit()
    server.close()
    await asyncio.sleep(0)


async def test_a_mail_is_kept_byte_for_byte(smtp: aiosmtplib.SMTP, store: MailStore) -> None:
    _, answer = await smtp.sendmail(
        "bounces@example.com", ["ann@example.com", "bjørn@example.com"], RAW, mail_options=["SMTPUTF8"]
    )
    mail = store.get("latest")
    assert mail is not None
    assert mail.raw == RAW
    assert (mail.sender, mail.recipients) == (
        "bounces@example.com",
        ("ann@example.com", "bjørn@example.com"),
    )
    assert mail.id in answer


async def test_the_extensions_that_senders_look_for_are_announced(smtp: aiosmtplib.SMTP) -> None:
    await smtp.ehlo()
    for extension in ("size", "8bitmime", "smtputf8", "pipelining"):
        assert smtp.supports_extension(extension), extension


async def test_one_connection_takes_many_mails(smtp: aiosmtplib.SMTP, store: MailStore) -> None:
    for _ in range(20):
        await smtp.sendmail("a@example.com", ["b@example.com"], RAW)
    assert store.total == 10


async def test_a_mail_that_is_too_large_is_refused(smtp: aiosmtplib.SMTP, store: MailStore) -> None:
    with pytest.raises(aiosmtplib.SMTPResponseException) as refusal:
        await smtp.sendmail("a@example.com", ["b@example.com"], RAW + b"x" * 200_000)
    assert refusal.value.code == 552
    assert store.total == 0
