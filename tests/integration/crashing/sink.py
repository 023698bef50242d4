"""A mail server that counts the copies of each mail, and keeps a client waiting to order."""

import asyncio
import re
from collections import Counter, defaultdict, deque
from enum import StrEnum
from types import TracebackType
from typing import Self

from shared.delivery.ledger_rows import TargetKey


class Stage(StrEnum):
    """Where a client can be kept waiting: for the greeting, for the leave to send the mail (354), and for the
    word that the mail was taken (250). It counts as soon as its last byte is there."""

    GREETING = "greeting"
    DATA = "data"
    TAKEN = "taken"


class Hold:
    """One client that is kept waiting."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._released = asyncio.Event()

    async def reached(self) -> None:
        """Wait until a client waits here."""
        async with asyncio.timeout(10):
            await self._reached.wait()

    def release(self) -> None:
        """Let it go on."""
        self._released.set()

    async def pass_through(self) -> None:
        """The client's side."""
        self._reached.set()
        await self._released.wait()


class Sink:
    """`async with Sink() as sink:` listens on 127.0.0.1, at `sink.port`.

    `copies` counts mails by Message-ID, without its domain: notification id and run.
    """

    def __init__(self) -> None:
        self.port = 0
        self.copies: Counter[str] = Counter()
        self._holds: dict[Stage, deque[Hold]] = defaultdict(deque)
        self._dialogues: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        dialogues = tuple(self._dialogues)
        for dialogue in dialogues:
            dialogue.cancel()
        await asyncio.gather(*dialogues, return_exceptions=True)
        await self._server.wait_closed()

    def copies_of(self, target: TargetKey) -> int:
        """How many mails came for it; a mail has one target."""
        return self.copies[f"{target.notification_id}.{target.run}"]

    def hold_next(self, stage: Stage) -> Hold:
        """The next client that comes to this stage waits there until it is released."""
        hold = Hold()
        self._holds[stage].append(hold)
        return hold

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._dialogues.add(task)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # clients are killed here in the middle of a word
        finally:
            self._dialogues.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._say(writer, "220 sink.example ESMTP", stage=Stage.GREETING)
        while True:
            line = await reader.readuntil(b"\r\n")
            match line[:4].upper():
                case b"DATA":
                    await self._say(writer, "354 go ahead", stage=Stage.DATA)
                    mail = await reader.readuntil(b"\r\n.\r\n")
                    self.copies[_message_id(mail)] += 1
                    await self._say(writer, "250 2.0.0 taken", stage=Stage.TAKEN)
                case b"QUIT":
                    return
                case _:
                    await self._say(writer, "250 2.0.0 ok")

    async def _say(self, writer: asyncio.StreamWriter, text: str, *, stage: Stage | None = None) -> None:
        if stage is not None and self._holds[stage]:
            await self._holds[stage].popleft().pass_through()
        writer.write(text.encode() + b"\r\n")
        await writer.drain()


def _message_id(mail: bytes) -> str:
    found = re.search(rb"^Message-ID:\s*<([^@>]+)@", mail, re.MULTILINE | re.IGNORECASE)
    assert found is not None, mail[:2000]
    return found[1].decode()
