"""Mailpit's JSON: https://github.com/axllent/mailpit, `internal/storage/structs.go`."""

from datetime import datetime

import msgspec

from carillon.mailbox.parsing import Mailbox, Part
from carillon.mailbox.store import Mail, MailStore


class Address(msgspec.Struct, frozen=True, rename="pascal"):
    """Somebody."""

    name: str
    address: str


class Checksums(msgspec.Struct, frozen=True):
    """Of an attachment."""

    SHA256: str


class Attachment(msgspec.Struct, frozen=True):
    """A part that is neither text nor HTML."""

    PartID: str
    FileName: str
    ContentType: str
    ContentID: str
    Size: int
    Checksums: Checksums


class MessageSummary(msgspec.Struct, frozen=True):
    """A line of the list."""

    ID: str
    MessageID: str
    Read: bool
    From: Address | None
    To: list[Address]
    Cc: list[Address]
    Bcc: list[Address]
    ReplyTo: list[Address]
    Subject: str
    Created: datetime
    Username: str
    Tags: list[str]
    Size: int
    Attachments: int
    Snippet: str


class MessageList(msgspec.Struct, frozen=True):
    """A page of the list. `count` is the legacy name of how many are in this page."""

    total: int
    unread: int
    count: int
    messages_count: int
    messages_unread: int
    start: int
    tags: list[str]
    messages: list[MessageSummary]


class ListUnsubscribe(msgspec.Struct, frozen=True):
    """The List-Unsubscribe header, not checked."""

    Header: str
    Links: list[str]
    Errors: str
    HeaderPost: str


class Message(msgspec.Struct, frozen=True):
    """A mail with its content."""

    ID: str
    MessageID: str
    From: Address | None
    To: list[Address]
    Cc: list[Address]
    Bcc: list[Address]
    ReplyTo: list[Address]
    ReturnPath: str
    Subject: str
    ListUnsubscribe: ListUnsubscribe
    Date: datetime
    Tags: list[str]
    Username: str
    Text: str
    HTML: str
    Size: int
    Inline: list[Attachment]
    Attachments: list[Attachment]


def summary(mail: Mail) -> MessageSummary:
    """One line of the list."""
    parsed = mail.parsed
    return MessageSummary(
        ID=mail.id,
        MessageID=parsed.message_id,
        Read=mail.read,
        From=_address(parsed.sender) if parsed.sender else None,
        To=[_address(each) for each in parsed.to],
        Cc=[_address(each) for each in parsed.cc],
        Bcc=_blind(mail),
        ReplyTo=[_address(each) for each in parsed.reply_to],
        Subject=parsed.subject,
        Created=mail.received_at,
        Username="",
        Tags=[],
        Size=len(mail.raw),
        Attachments=len(parsed.parts),
        Snippet=parsed.snippet,
    )


def page_of(
    store: MailStore, mails: list[Mail], *, start: int, matching: int, matching_unread: int
) -> MessageList:
    """A page of the list out of `matching` mails in all."""
    return MessageList(
        total=store.total,
        unread=store.unread,
        count=len(mails),
        messages_count=matching,
        messages_unread=matching_unread,
        start=start,
        tags=[],
        messages=[summary(mail) for mail in mails],
    )


def whole(mail: Mail) -> Message:
    """A mail with its content."""
    parsed = mail.parsed
    headers = {name.lower(): value for name, value in reversed(parsed.headers)}
    return Message(
        ID=mail.id,
        MessageID=parsed.message_id,
        From=_address(parsed.sender) if parsed.sender else None,
        To=[_address(each) for each in parsed.to],
        Cc=[_address(each) for each in parsed.cc],
        Bcc=_blind(mail),
        ReplyTo=[_address(each) for each in parsed.reply_to],
        ReturnPath=parsed.return_path or mail.sender,
        Subject=parsed.subject,
        ListUnsubscribe=ListUnsubscribe(
            Header=headers.get("list-unsubscribe", ""),
            Links=[],
            Errors="",
            HeaderPost=headers.get("list-unsubscribe-post", ""),
        ),
        Date=parsed.sent_at or mail.received_at,
        Tags=[],
        Username="",
        Text=parsed.text,
        HTML=parsed.html,
        Size=len(mail.raw),
        Inline=[_attachment(part) for part in parsed.parts if part.inline],
        Attachments=[_attachment(part) for part in parsed.parts if not part.inline],
    )


def header_lists(mail: Mail) -> dict[str, list[str]]:
    """Every header by name, in the order in which they stand."""
    lists: dict[str, list[str]] = {}
    for name, value in mail.parsed.headers:
        lists.setdefault(name, []).append(value)
    return lists


def _blind(mail: Mail) -> list[Address]:
    """Who got it without standing in its headers, as Mailpit does it."""
    parsed = mail.parsed
    named = {each.address.lower() for each in (*parsed.to, *parsed.cc, *parsed.bcc)}
    unnamed = [Address(name="", address=each) for each in mail.recipients if each.lower() not in named]
    return [_address(each) for each in parsed.bcc] + unnamed


def _address(mailbox: Mailbox) -> Address:
    return Address(name=mailbox.name, address=mailbox.address)


def _attachment(part: Part) -> Attachment:
    return Attachment(
        PartID=part.number,
        FileName=part.file_name,
        ContentType=part.content_type,
        ContentID=part.content_id,
        Size=part.size,
        Checksums=Checksums(SHA256=part.sha256),
    )
