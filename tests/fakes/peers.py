"""The services around the gateway, in memory, behind the same HTTP: users, templates and ledgers."""

import asyncio
import hashlib
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID, uuid4

import httpx
import msgspec

from shared.contracts.delivery import (
    DeliveryReported,
    LedgerAnswer,
    LedgerPurge,
    LedgerPurged,
    LedgerQuestion,
    ReportReceipts,
)
from shared.contracts.recipients import (
    ApiKeyPrincipal,
    ApiKeyQuestion,
    Recipient,
    RecipientAnswer,
    RecipientQuestion,
)
from shared.contracts.templates import TemplateVersion


@dataclass
class FakePeers:
    """What they know; `away` holds the hosts that refuse connections, `hung` those that take a request and
    never answer it, `old_rows` how many rows the ledger of
    each host still has to delete, in batches of 5,000, and `purged` what it was told to."""

    recipients: dict[UUID, Recipient] = field(default_factory=dict)
    external_ids: dict[str, UUID] = field(default_factory=dict)
    templates: dict[str, TemplateVersion] = field(default_factory=dict)
    keys: dict[str, ApiKeyPrincipal] = field(default_factory=dict)
    reports: dict[tuple[UUID, int], tuple[DeliveryReported, ...]] = field(default_factory=dict)
    receipts: list[UUID] = field(default_factory=list)
    questions: list[RecipientQuestion] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    hung: set[str] = field(default_factory=set)
    old_rows: dict[str, int] = field(default_factory=dict)
    purged: list[tuple[str, UUID]] = field(default_factory=list)

    def add_key(self, *, scopes: Iterable[str], kind: str = "live", owner: UUID | None = None) -> str:
        """The secret of a new API key."""
        secret = f"ck_{kind}_{uuid4().hex}{uuid4().hex[:11]}"
        self.keys[hashlib.sha256(secret.encode()).hexdigest()] = ApiKeyPrincipal(
            key_id=uuid4(), owner=owner or uuid4(), kind=kind, scopes=tuple(scopes)
        )
        return secret

    def transport(self) -> httpx.MockTransport:
        """For the clients."""
        return httpx.MockTransport(self._answer_or_hang)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What the service that is asked would say."""
        if request.url.host in self.away:
            raise httpx.ConnectError("refused", request=request)
        path = request.url.path
        if path == "/internal/v1/recipients/lookup":
            return _json(self._look_up(msgspec.json.decode(request.content, type=RecipientQuestion)))
        if path == "/internal/v1/api-keys/verify":
            return _json(self.keys.get(msgspec.json.decode(request.content, type=ApiKeyQuestion).digest))
        if path.startswith("/internal/v1/templates/") and path.endswith("/release"):
            return _json(self.templates.get(path.split("/")[4]))
        if path == "/internal/v1/ledger/lookup":
            asked = msgspec.json.decode(request.content, type=LedgerQuestion)
            known = [self.reports.get((key.notification_id, key.run), ()) for key in asked.keys]
            return _json(LedgerAnswer(reports=tuple(report for reports in known for report in reports)))
        if path == "/internal/v1/ledger/receipts":
            received = msgspec.json.decode(request.content, type=ReportReceipts)
            self.receipts.extend(receipt.notification_id for receipt in received.receipts)
            return httpx.Response(204)
        if path == "/internal/v1/ledger/purge":
            return _json(
                self._purge(request.url.host, msgspec.json.decode(request.content, type=LedgerPurge))
            )
        return httpx.Response(200 if path == "/health" else 404)

    async def _answer_or_hang(self, request: httpx.Request) -> httpx.Response:
        if request.url.host in self.hung:
            await asyncio.Event().wait()
        return self.answer(request)

    def _purge(self, host: str, order: LedgerPurge) -> LedgerPurged:
        self.purged.append((host, order.before))
        rows = min(self.old_rows.get(host, 0), 5_000)
        self.old_rows[host] = self.old_rows.get(host, 0) - rows
        return LedgerPurged(rows=rows)

    def _look_up(self, question: RecipientQuestion) -> RecipientAnswer:
        self.questions.append(question)
        return RecipientAnswer(
            by_id={str(key): self.recipients[key] for key in question.ids if key in self.recipients},
            by_external_id={
                key: self.recipients[self.external_ids[key]]
                for key in question.external_ids
                if key in self.external_ids
            },
            by_address={
                f"{address.channel.value}:{address.value}": person
                for address in question.addresses
                for person in self.recipients.values()
                if person.email == address.value
            },
        )


def _json(answer: msgspec.Struct | None) -> httpx.Response:
    if answer is None:
        return httpx.Response(404, json={"type": "urn:carillon:problem:not_found"})
    return httpx.Response(200, content=msgspec.json.encode(answer))


@contextmanager
def served(peers: FakePeers) -> Iterator[str]:
    """The same over a real socket, for gateways that are processes of their own; gives the base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = peers.answer(httpx.Request(self.command, f"http://peer{self.path}", content=body))
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = _reply  # noqa: N815 - the names are http.server's

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
