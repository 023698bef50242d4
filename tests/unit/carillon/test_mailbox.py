"""The development mailbox: keeps what comes, shows it in Mailpit's shapes, and trips over nothing."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.message import EmailMessage

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from carillon.mailbox import shapes
from carillon.mailbox.api import mail_routes
from carillon.mailbox.parsing import parse
from carillon.mailbox.search import matches
from carillon.mailbox.store import Mail, MailStore
from carillon.pages.site import page_routes

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SUMMARY_FIELDS = {
    "ID", "MessageID", "Read", "From", "To", "Cc", "Bcc", "ReplyTo", "Subject", "Created", "Username",
    "Tags", "Size", "Attachments", "Snippet",
}  # fmt: skip
MESSAGE_FIELDS = {
    "ID", "MessageID", "From", "To", "Cc", "Bcc", "ReplyTo", "ReturnPath", "Subject", "ListUnsubscribe",
    "Date", "Tags", "Username", "Text", "HTML", "Size", "Inline", "Attachments",
}  # fmt: skip


def a_store(*, capacity: int = 100, capacity_bytes: int = 10_000_000) -> MailStore:
    return MailStore(capacity=capacity, capacity_bytes=capacity_bytes, now=lambda: NOW)


def a_mail(*, subject: str = "Grüße 🎉", to: str = '"Müller, Ann" <ann@example.com>') -> bytes:
    message = EmailMessage()
    message["From"] = "Carillon <no-reply@carillon.localhost>"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = "<one@carillon.localhost>"
    message.set_content("Hello Ann")
    message.add_alternative("<h1>Hello</h1><script>evil()</script><p>Ann &amp; co</p>", subtype="html")
    return bytes(message)


def put(store: MailStore, raw: bytes | None = None, *, to: str = "ann@example.com") -> Mail:
    return store.add(sender="bounces@example.com", recipients=[to], raw=a_mail() if raw is None else raw)


@pytest.fixture
def store() -> MailStore:
    return a_store()


@pytest.fixture
async def client(store: MailStore) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(mail_routes(store))
    app.include_router(page_routes("mailbox"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://mailbox.test") as made:
        yield made


def test_beyond_its_capacity_the_oldest_go() -> None:
    store = a_store(capacity=3)
    ids = [put(store).id for _ in range(5)]
    assert [mail.id for mail in store.newest_first()] == ids[:1:-1]


def test_beyond_its_bytes_the_oldest_go_and_the_newest_stays() -> None:
    store = a_store(capacity_bytes=1000)
    put(store, b"x" * 600)
    put(store, b"x" * 600)
    assert store.total == 1
    kept = put(store, b"x" * 5000)
    assert [mail.id for mail in store.newest_first()] == [kept.id]


def test_a_mail_is_read_as_a_mail_program_would() -> None:
    parsed = parse(a_mail())
    assert parsed.subject == "Grüße 🎉"
    assert parsed.message_id == "one@carillon.localhost"
    assert [(each.name, each.address) for each in parsed.to] == [("Müller, Ann", "ann@example.com")]
    assert parsed.text.strip() == "Hello Ann"
    assert "<h1>Hello</h1>" in parsed.html


def test_the_snippet_of_html_is_its_text() -> None:
    raw = b"Content-Type: text/html\r\n\r\n<style>p{}</style><p>Ann &amp; co</p>"
    assert parse(raw).snippet == "Ann & co"


@given(st.binary(max_size=400))
def test_any_bytes_at_all_can_be_shown(raw: bytes) -> None:
    store = a_store()
    mail = put(store, raw)
    shapes.page_of(store, [mail], start=0, matching=1, matching_unread=1)
    json.dumps(shapes.header_lists(mail)).encode()
    shapes.whole(mail)


@pytest.mark.parametrize(
    "header",
    [
        b"To: ",
        b"To: <",
        b"From: =?utf-8?q?=80?= <a@b>",
        b"Date: Thu, 99 Foo 2026",
        b"Subject: \xff\xfe",
        b"Content-Type: text/plain; charset=no-such-thing",
        b"Content-Disposition: attachment; filename*=utf-8''%ff",
        b"Message-ID: <unclosed",
        b"Content-Type: multipart/mixed",
    ],
)
def test_an_odd_header_hides_no_mail(header: bytes) -> None:
    mail = put(a_store(), header + b"\r\n\r\nbody")
    assert shapes.whole(mail).Size == len(header) + 8
    assert mail.id == shapes.summary(mail).ID


async def test_the_list_has_mailpits_shape(client: httpx.AsyncClient, store: MailStore) -> None:
    put(store)
    newest = put(store, to="hidden@example.com")
    page = (await client.get("/api/v1/messages", params={"limit": 1})).json()
    assert {key: page[key] for key in ("total", "unread", "count", "messages_count", "start")} == {
        "total": 2, "unread": 2, "count": 1, "messages_count": 2, "start": 0,
    }  # fmt: skip
    [line] = page["messages"]
    assert set(line) == SUMMARY_FIELDS
    assert line["ID"] == newest.id
    assert line["To"] == [{"Name": "Müller, Ann", "Address": "ann@example.com"}]
    assert line["Bcc"] == [{"Name": "", "Address": "hidden@example.com"}]
    assert line["Created"] == "2026-01-02T03:04:05Z"


async def test_a_message_has_mailpits_shape_and_counts_as_read(
    client: httpx.AsyncClient, store: MailStore
) -> None:
    mail = put(store)
    shown = (await client.get("/api/v1/message/latest")).json()
    assert set(shown) == MESSAGE_FIELDS
    assert shown["ID"] == mail.id
    assert shown["Text"].strip() == "Hello Ann"
    assert shown["ReturnPath"] == "bounces@example.com"
    assert (await client.get("/api/v1/messages")).json()["unread"] == 0


async def test_headers_and_source_are_as_they_came(client: httpx.AsyncClient, store: MailStore) -> None:
    mail = put(store)
    headers = (await client.get(f"/api/v1/message/{mail.id}/headers")).json()
    assert headers["Message-ID"] == ["<one@carillon.localhost>"]
    assert (await client.get(f"/api/v1/message/{mail.id}/raw")).content == mail.raw


async def test_deleting_takes_the_named_or_all(client: httpx.AsyncClient, store: MailStore) -> None:
    first, second, _third = put(store), put(store), put(store)
    await client.request("DELETE", "/api/v1/messages", json={"IDs": [first.id, "no-such"]})
    assert store.total == 2
    assert (await client.get(f"/api/v1/message/{first.id}")).status_code == 404
    assert (await client.get(f"/api/v1/message/{second.id}")).status_code == 200
    await client.delete("/api/v1/messages")
    assert store.total == 0


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("grüße", True),
        ("to:ann@example.com", True),
        ("to:bob", False),
        ("from:carillon hello", True),
        ("subject:hello", False),
        ("is:unread", True),
        ("-is:unread", False),
        ('"hello ann"', True),
        ('"open quote', False),
    ],
)
async def test_a_search_finds_what_holds_every_term(
    query: str, found: bool, client: httpx.AsyncClient, store: MailStore
) -> None:
    mail = put(store)
    assert matches(mail, query) is found
    page = (await client.get("/api/v1/search", params={"query": query})).json()
    assert page["messages_count"] == int(found)


async def test_a_mails_html_runs_no_script_and_the_page_takes_nothing_from_elsewhere(
    client: httpx.AsyncClient, store: MailStore
) -> None:
    mail = put(store)
    policy = (await client.get(f"/view/{mail.id}.html")).headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "script-src" not in policy
    page = await client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in ("/", "/page.js", "/style.css"):
        content = (await client.get(path)).text
        assert "//cdn" not in content
        assert "https://" not in content
