"""A mail server over real TCP that takes mail, and misbehaves to order at any stage."""

import asyncio
import re
import ssl
from base64 import b64decode
from collections import defaultdict, deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Answer:
    """Say this instead, such as `550 5.1.1 no such user`; several lines by line breaks."""

    text: str


@dataclass(frozen=True)
class Hang:
    """Say nothing more, and read nothing more."""


@dataclass(frozen=True)
class Reset:
    """Cut the connection."""


Fault = Answer | Hang | Reset


@dataclass(frozen=True, kw_only=True)
class ReceivedMail:
    """A mail as it came, without dot-stuffing; `connection` counts from 1."""

    sender: str
    recipient: str
    data: bytes
    connection: int


@dataclass
class _Dialogue:
    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    logged_in: bool = False
    secured: bool = False


class FakeSmtpServer:
    """`async with FakeSmtpServer() as server:` listens on 127.0.0.1, at `server.port`.

    `order` places a fault at a stage: connect, ehlo, starttls, auth, mail, rcpt, data, reading (after 354,
    before the body is read), body (after the final dot; the mail counts as taken unless the fault is an
    Answer), rset, noop. `order_for` places one for a single recipient, after the final dot. `hangs`
    counts those that have come to pass. With `knows_message_ids` a second mail with the same Message-ID for
    the same recipient is taken without effect, and counted in `repeats`.
    """

    def __init__(
        self,
        *,
        extensions: tuple[str, ...] = ("SIZE", "8BITMIME", "SMTPUTF8"),
        largest: int = 1_000_000,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        tls_from_start: bool = False,
        most_connections: int = 1000,
        knows_message_ids: bool = False,
    ) -> None:
        self.mails: list[ReceivedMail] = []
        self.commands: list[str] = []
        self.connections = 0
        self.hangs = 0
        self.repeats = 0
        self.port = 0
        self._extensions = extensions
        self._largest = largest
        self._login = login
        self._tls = tls
        self._tls_from_start = tls_from_start
        self._most_connections = most_connections
        self._knows_message_ids = knows_message_ids
        self._known: set[tuple[str, bytes]] = set()
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._standing: dict[str, Fault] = {}
        self._personal: dict[str, Fault] = {}
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve,
            "127.0.0.1",
            self.port,
            ssl=self._tls if self._tls_from_start else None,
            limit=4 * 1024 * 1024,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self.drop_connections()
        await self._server.wait_closed()

    @property
    def open_connections(self) -> int:
        """How many stand now."""
        return len(self._open)

    def order(self, stage: str, *faults: Fault) -> None:
        """Each fault once, in turn; then all is well again."""
        self._faults[stage].extend(faults)

    def order_always(self, stage: str, fault: Fault) -> None:
        """The fault every time."""
        self._standing[stage] = fault

    def order_for(self, recipient: str, fault: Fault) -> None:
        """The fault once, in place of the answer to the next mail to this address."""
        self._personal[recipient] = fault

    def mend(self, stage: str) -> None:
        """No fault stands at the stage any more."""
        self._standing.pop(stage, None)

    async def drop_connections(self) -> None:
        """Close every connection that stands, as a server does with idle ones."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        self.connections += 1
        try:
            await self._talk(_Dialogue(number=self.connections, reader=reader, writer=writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            del self._open[task]
            # Not waited for: after a failed TLS handshake it would never end.
            writer.close()

    async def _talk(self, dialogue: _Dialogue) -> None:
        if len(self._open) > self._most_connections:
            await self._say(dialogue, "421 4.7.0 too many connections from you")
            return
        await self._act(dialogue, "connect", "220 fake.example ESMTP")
        while True:
            line = (await dialogue.reader.readuntil(b"\r\n")).decode().removesuffix("\r\n")
            self.commands.append(line)
            verb = line.partition(" ")[0].upper()
            if verb == "QUIT":
                await self._say(dialogue, "221 bye")
                return
            await self._command(dialogue, verb, line)

    async def _command(self, dialogue: _Dialogue, verb: str, line: str) -> None:
        match verb:
            case "EHLO" | "HELO":
                await self._act(dialogue, "ehlo", self._greeting(dialogue) if verb == "EHLO" else "250 hello")
            case "STARTTLS":
                await self._start_tls(dialogue)
            case "AUTH":
                await self._authenticate(dialogue, line)
            case "MAIL":
                await self._mail(dialogue, line)
            case "RCPT":
                await self._rcpt(dialogue, line)
            case "DATA":
                await self._data(dialogue)
            case "RSET":
                await self._rset(dialogue)
            case "NOOP":
                await self._act(dialogue, "noop", "250 2.0.0 ok")
            case _:
                await self._say(dialogue, "500 5.5.2 what?")

    async def _mail(self, dialogue: _Dialogue, line: str) -> None:
        if self._login is not None and not dialogue.logged_in:
            await self._say(dialogue, "530 5.7.0 log in first")
        elif dialogue.sender:
            await self._say(dialogue, "503 5.5.1 one mail at a time")
        elif _announced_size(line) > self._largest:
            await self._say(dialogue, "552 5.3.4 too large")
        elif await self._act(dialogue, "mail", "250 2.1.0 ok"):
            dialogue.sender = _angled(line)

    async def _rcpt(self, dialogue: _Dialogue, line: str) -> None:
        if not dialogue.sender:
            await self._say(dialogue, "503 5.5.1 MAIL first")
        elif await self._act(dialogue, "rcpt", "250 2.1.5 ok"):
            dialogue.recipients.append(_angled(line))

    async def _rset(self, dialogue: _Dialogue) -> None:
        if await self._act(dialogue, "rset", "250 2.0.0 ok"):
            dialogue.sender = ""
            dialogue.recipients.clear()

    async def _data(self, dialogue: _Dialogue) -> None:
        if not dialogue.recipients:
            await self._say(dialogue, "503 5.5.1 RCPT first")
            return
        if not await self._act(dialogue, "data", "354 go ahead"):
            return
        await self._misbehave(dialogue, self._next_fault("reading"))
        data = await dialogue.reader.readuntil(b"\r\n.\r\n")
        data = data.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
        mails = [
            ReceivedMail(sender=dialogue.sender, recipient=recipient, data=data, connection=dialogue.number)
            for recipient in dialogue.recipients
        ]
        fault = self._personal.pop(dialogue.recipients[0], None) or self._next_fault("body")
        dialogue.sender = ""
        dialogue.recipients.clear()
        if not isinstance(fault, Answer) or fault.text.startswith("2"):
            self.mails.extend(mail for mail in mails if not self._is_repeat(mail))
        if not await self._misbehave(dialogue, fault):
            await self._say(dialogue, f"250 2.0.0 Ok: queued as FAKE{len(self.mails)}")

    def _is_repeat(self, mail: ReceivedMail) -> bool:
        found = re.search(rb"^Message-ID:\s*(<[^>]*>)", mail.data, re.MULTILINE | re.IGNORECASE)
        if not self._knows_message_ids or found is None:
            return False
        identity = (mail.recipient, found[1])
        is_repeat = identity in self._known
        self._known.add(identity)
        self.repeats += is_repeat
        return is_repeat

    async def _start_tls(self, dialogue: _Dialogue) -> None:
        if self._tls is None or dialogue.secured:
            await self._say(dialogue, "502 5.5.1 no TLS")
        elif await self._act(dialogue, "starttls", "220 2.0.0 go ahead"):
            await dialogue.writer.start_tls(self._tls)
            dialogue.secured = True

    async def _authenticate(self, dialogue: _Dialogue, line: str) -> None:
        # AUTH PLAIN <base64 of NUL user NUL password>
        _, user, password = b64decode(line.split(" ")[2]).decode().split("\0")
        right = self._login == (user, password)
        if await self._act(dialogue, "auth", "235 2.7.0 welcome" if right else "535 5.7.8 wrong"):
            dialogue.logged_in = right

    def _greeting(self, dialogue: _Dialogue) -> str:
        words = list(self._extensions)
        if self._tls is not None and not self._tls_from_start and not dialogue.secured:
            words.append("STARTTLS")
        if self._login is not None:
            words.append("AUTH PLAIN")
        lines = ["fake.example", *words]
        return "\n".join(
            f"250{'-' if index < len(lines) - 1 else ' '}{word}" for index, word in enumerate(lines)
        )

    async def _act(self, dialogue: _Dialogue, stage: str, answer: str) -> bool:
        """The ordered fault, or the answer; True where the answer was given."""
        if await self._misbehave(dialogue, self._next_fault(stage)):
            return False
        await self._say(dialogue, answer)
        return True

    def _next_fault(self, stage: str) -> Fault | None:
        faults = self._faults[stage]
        return faults.popleft() if faults else self._standing.get(stage)

    async def _misbehave(self, dialogue: _Dialogue, fault: Fault | None) -> bool:
        match fault:
            case None:
                return False
            case Answer(text=text):
                await self._say(dialogue, text)
                if text.startswith("421"):
                    raise ConnectionAbortedError
            case Hang():
                dialogue.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a TCP transport has it
                self.hangs += 1
                await asyncio.Event().wait()
            case Reset():
                dialogue.writer.transport.abort()
                raise ConnectionAbortedError
        return True

    async def _say(self, dialogue: _Dialogue, text: str) -> None:
        dialogue.writer.write(text.replace("\n", "\r\n").encode() + b"\r\n")
        await dialogue.writer.drain()


def _announced_size(line: str) -> int:
    """RFC 1870: the SIZE parameter of MAIL FROM, 0 without one."""
    found = re.search(r" SIZE=(\d+)", line)
    return int(found.group(1)) if found else 0


def _angled(line: str) -> str:
    return line[line.index("<") + 1 : line.rindex(">")]
