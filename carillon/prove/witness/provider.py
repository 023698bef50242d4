"""What the fake providers have in common as processes: a port, a journal, a control socket, and an end."""

import argparse
import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from carillon.prove.witness.behaviour import Behaviour, Do
from carillon.prove.witness.connection import Connection, Connections
from carillon.prove.witness.control import Command, Counts, listen
from carillon.prove.witness.journal import JournalWriter
from carillon.prove.witness.reception import Reception

_BACKLOG = 512

Accept = Callable[[Reception, Connections], Connection]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a provider is found, and where it writes. Port 0 stands for any that is free."""

    port: int
    journal: Path
    control: Path


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One that listens."""

    port: int
    ended: asyncio.Future[None]
    """Has an exception as soon as it can no longer do its work."""


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Of a provider's command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--control", type=Path, required=True, metavar="SOCKET")
    return parser


def place_of(named: argparse.Namespace) -> Place:
    """From the arguments that all providers have."""
    return Place(port=named.port, journal=named.journal, control=named.control)


@asynccontextmanager
async def provide(
    accept: Accept, *, listening: socket.socket, place: Place, mail: bool
) -> AsyncIterator[Provider]:
    """Takes messages while it is entered, from `listening` on. `mail`: with what only a mail server does."""
    with JournalWriter(place.journal) as journal:
        reception, connections = Reception(journal), Connections()

        def obey(command: Command) -> Counts:
            return _obey(command, reception, connections, mail=mail)

        control = await listen(place.control, obey)
        server = await asyncio.get_running_loop().create_server(
            lambda: accept(reception, connections), sock=listening, backlog=_BACKLOG
        )
        try:
            yield Provider(port=listening.getsockname()[1], ended=connections.failure)
        finally:
            server.close()
            control.close()
            await connections.close()
            place.control.unlink(missing_ok=True)


def listen_on(port: int) -> socket.socket:
    """Of this machine only."""
    return socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)


async def run(provider: AbstractAsyncContextManager[Provider]) -> None:
    """Says `ready` on standard output once it listens, and ends on SIGTERM or SIGINT. Raises OSError where
    the journal cannot be written."""
    loop = asyncio.get_running_loop()
    async with provider as listening:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, listening.ended.cancel)
        print("ready", flush=True)
        with suppress(asyncio.CancelledError):
            await listening.ended


def _obey(command: Command, reception: Reception, connections: Connections, *, mail: bool) -> Counts:
    """Raises ValueError for what only a mail server does."""
    rules = command.rules
    if not mail and (command.keys is not None or any(x.do is Do.REFUSE_GREETING for x in rules or ())):
        raise ValueError("Only the mail server knows keys and refuse_greeting.")
    if rules is not None:
        reception.behaviour = Behaviour(rules, seed=command.seed)
    if command.keys is not None:
        reception.keys_s = command.keys
    if command.release:
        connections.release()
    return Counts(calls=reception.calls, effects=reception.effects, hanging=len(connections.hanging))
