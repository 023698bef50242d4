"""How a fake provider is told what to do: over a Unix socket, a line of JSON there and a line back."""

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from carillon.prove.witness.behaviour import Rule

_LONGEST_LINE = 1024 * 1024
_IDLE_S = 60.0


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is to be done; what is not named stays as it is.

    `rules` replaces all rules at once, with `seed` for their chances. `keys`: for so many seconds a mail
    whose Message-ID was taken already is answered as taken, without a second effect; 0 is for never.
    `release` closes every connection that hangs. `counts` asks for no more than the answer that all get.
    """

    rules: tuple[Rule, ...] | None = None
    seed: int = 0
    keys: Annotated[float, msgspec.Meta(ge=0)] | None = None
    release: bool = False
    counts: bool = False


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Since the provider began: `calls` counts the messages and greetings it decided on, `effects` what it
    delivered. `hanging`: how many calls hang now."""

    calls: int
    effects: int
    hanging: int


class _Refusal(msgspec.Struct, frozen=True):
    error: str


class ControlFailure(Exception):
    """The provider refused a command, or gave no answer that can be read."""


class Control:
    """The caller's side. Every command has a connection of its own."""

    def __init__(self, path: Path, *, timeout_s: float = 5.0) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def send(self, command: Command) -> Counts:
        """Done when it returns. Raises ControlFailure, and OSError where nobody answers in time."""
        deadline = time.monotonic() + self._timeout_s
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._timeout_s)
            connection.connect(str(self._path))
            connection.sendall(msgspec.json.encode(command) + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                received = connection.recv(4096)
                if not received or len(answer) > _LONGEST_LINE:
                    raise ControlFailure("No whole answer came.")
                answer += received
        return _read(answer)

    def set_rules(self, *rules: Rule, seed: int = 0) -> Counts:
        """None makes the provider accept everything. Raises as `send` does."""
        return self.send(Command(rules=rules, seed=seed))

    def set_keys(self, seconds: float) -> Counts:
        """See `Command`. Raises as `send` does."""
        return self.send(Command(keys=seconds))

    def release(self) -> Counts:
        """Let everything go that hangs. Raises as `send` does."""
        return self.send(Command(release=True))

    def counts(self) -> Counts:
        """Raises as `send` does."""
        return self.send(Command(counts=True))


async def listen(path: Path, obey: Callable[[Command], Counts]) -> asyncio.Server:
    """The provider's side. `obey` may raise ValueError, which the caller is told; a socket that a former
    process left at `path` is replaced."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_IDLE_S):
                while line := await reader.readline():
                    writer.write(_answer(line, obey) + b"\n")
                    await writer.drain()
        except (OSError, ValueError, TimeoutError):
            # Gone, too long a line, or silent: whoever it was has a time-out of their own.
            return
        finally:
            writer.close()

    await asyncio.to_thread(path.unlink, missing_ok=True)
    return await asyncio.start_unix_server(talk, path, limit=_LONGEST_LINE)


def _answer(line: bytes, obey: Callable[[Command], Counts]) -> bytes:
    try:
        return msgspec.json.encode(obey(msgspec.json.decode(line, type=Command)))
    except (ValueError, RecursionError) as error:
        return msgspec.json.encode(_Refusal(str(error)))


def _read(answer: bytes) -> Counts:
    try:
        return msgspec.json.decode(answer, type=Counts)
    except msgspec.MsgspecError:
        pass
    try:
        raise ControlFailure(msgspec.json.decode(answer, type=_Refusal).error)
    except msgspec.MsgspecError:
        raise ControlFailure("The answer is not readable.") from None
