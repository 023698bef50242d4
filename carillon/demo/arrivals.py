"""What has arrived: the mails in the mailbox and the messages at the push stand-in, in one form."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import httpx
import msgspec

from carillon.setup_error import SetupError
from shared.contracts.channels import Channel

_TIMEOUT_S = 60.0
_PAGE = 500
_AT_ONCE = 8
_LATE_WITHIN_S = 1.0
_UUID_LENGTH = 36


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One message as the recipient got it. `message_id` is what tells one from another: the Message-ID of a
    mail, the notification and the device of a push message. `html` is None for a push message."""

    channel: Channel
    message_id: str
    notification_id: UUID | None
    addresses: tuple[str, ...]
    subject: str
    text: str
    html: str | None
    at: datetime


class _Address(msgspec.Struct, frozen=True, rename="pascal"):
    address: str


class _MailSummary(msgspec.Struct, frozen=True):
    ID: str
    MessageID: str
    To: tuple[_Address, ...]
    Cc: tuple[_Address, ...]
    Bcc: tuple[_Address, ...]
    Created: datetime


class _MailPage(msgspec.Struct, frozen=True):
    total: int
    messages: tuple[_MailSummary, ...]


class _Mail(msgspec.Struct, frozen=True):
    Subject: str
    Text: str
    HTML: str


class _Push(msgspec.Struct, frozen=True):
    id: str
    received_at: datetime
    token: str
    title: str
    body: str
    data: dict[str, str]
    error: str | None


class _PushPage(msgspec.Struct, frozen=True):
    total: int
    messages: tuple[_Push, ...]


class Arrivals:
    """The mailbox at one URL, which speaks as Mailpit does, and the push stand-in at another.

    `pause_s` is how long what comes late, a duplicate above all, is waited for. Raises SetupError where one
    of the two cannot be asked.
    """

    def __init__(
        self,
        *,
        mailbox: str,
        push_standin: str,
        transport: httpx.AsyncBaseTransport | None = None,
        pause_s: float = _LATE_WITHIN_S,
    ) -> None:
        self._pause_s = pause_s
        self._urls = (f"{mailbox}/api/v1", f"{push_standin}/api/v1")
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, transport=transport)
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._before = 0

    async def begin(self) -> None:
        """Count from here on."""
        self._before = await self._total()

    async def count(self) -> int:
        """How much has arrived since, whoever sent it."""
        return await self._total() - self._before

    async def collect(
        self,
        *,
        since: datetime,
        notification_ids: Set[UUID],
        addresses: Set[str],
        advance: Callable[[], None],
    ) -> list[Arrival]:
        """Everything since then that is of one of these notifications or to one of these addresses.

        `advance` is called for each. The list is read until, after a pause, it holds nothing new.
        """
        has_paused = False
        found: dict[tuple[Channel, str], Arrival] = {}

        def is_ours(notification_id: UUID | None, to: Iterable[str]) -> bool:
            return notification_id in notification_ids or not addresses.isdisjoint(to)

        async def take_mail(summary: _MailSummary) -> None:
            arrival = await self._mail(summary)
            found[Channel.EMAIL, summary.ID] = arrival
            advance()

        while True:
            mails = [
                each
                for each in await self._mails(since)
                if (Channel.EMAIL, each.ID) not in found
                and is_ours(_notification_id(each.MessageID), _addresses(each))
            ]
            pushes = [
                each
                for each in await self._pushes(since)
                if (Channel.PUSH, each.id) not in found
                and is_ours(_notification_id(each.data.get("notification_id", "")), [each.token])
            ]
            if not mails and not pushes:
                if has_paused:
                    return list(found.values())
                await asyncio.sleep(self._pause_s)
                has_paused = True
                continue
            has_paused = False
            for push in pushes:
                found[Channel.PUSH, push.id] = _arrival_of(push)
                advance()
            await asyncio.gather(*(take_mail(each) for each in mails))

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def _total(self) -> int:
        mails, pushes = await asyncio.gather(*(self._get(f"{url}/messages?limit=0") for url in self._urls))
        return (
            msgspec.json.decode(mails, type=_MailPage).total
            + msgspec.json.decode(pushes, type=_PushPage).total
        )

    async def _mails(self, since: datetime) -> list[_MailSummary]:
        """Newest first. More may come between two pages, so that a page may begin with what was read."""
        found: list[_MailSummary] = []
        start = 0
        while True:
            body = await self._get(f"{self._urls[0]}/messages?start={start}&limit={_PAGE}")
            page = msgspec.json.decode(body, type=_MailPage)
            found += [each for each in page.messages if each.Created >= since]
            start += len(page.messages)
            if not page.messages or start >= page.total or page.messages[-1].Created < since:
                return list({each.ID: each for each in found}.values())

    async def _pushes(self, since: datetime) -> list[_Push]:
        """Newest first, those that were taken."""
        found: list[_Push] = []
        start = 0
        while True:
            body = await self._get(f"{self._urls[1]}/messages?start={start}&limit={_PAGE}")
            page = msgspec.json.decode(body, type=_PushPage)
            found += [each for each in page.messages if each.received_at >= since and each.error is None]
            start += len(page.messages)
            if not page.messages or start >= page.total or page.messages[-1].received_at < since:
                return list({each.id: each for each in found}.values())

    async def _mail(self, summary: _MailSummary) -> Arrival:
        body = await self._get(f"{self._urls[0]}/message/{summary.ID}")
        mail = msgspec.json.decode(body, type=_Mail)
        return Arrival(
            channel=Channel.EMAIL,
            message_id=summary.MessageID,
            notification_id=_notification_id(summary.MessageID),
            addresses=_addresses(summary),
            subject=mail.Subject,
            text=mail.Text,
            html=mail.HTML,
            at=summary.Created,
        )

    async def _get(self, url: str) -> bytes:
        try:
            async with self._turn:
                answer = await self._client.get(url)
        except httpx.TransportError as error:
            raise SetupError(f"{url} does not answer ({type(error).__name__}).") from error
        if not answer.is_success:
            raise SetupError(f"{url} answers {answer.status_code}.")
        return answer.content


def _arrival_of(push: _Push) -> Arrival:
    notification_id = push.data.get("notification_id", "")
    return Arrival(
        channel=Channel.PUSH,
        message_id=f"{notification_id}@{push.token}",
        notification_id=_notification_id(notification_id),
        addresses=(push.token,),
        subject=push.title,
        text=push.body,
        html=None,
        at=push.received_at,
    )


def _addresses(mail: _MailSummary) -> tuple[str, ...]:
    return tuple(each.address for each in (*mail.To, *mail.Cc, *mail.Bcc))


def _notification_id(message_id: str) -> UUID | None:
    """A Message-ID begins with the notification's id."""
    with contextlib.suppress(ValueError):
        return UUID(message_id[:_UUID_LENGTH])
    return None
