"""Running a command to its exit code, with everything that may go wrong said in a sentence."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from io import TextIOWrapper

import typer

from carillon.api import Api
from carillon.api_answers import InDoubt, Refused
from carillon.failed.access import Access, api_for, find_access
from carillon.failed.client import DOUBT
from carillon.failed.screen import Screen
from carillon.home import Home
from shared.process.logging import configure_logging

DONE, NOT_DONE, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
_HINTS = {
    401: "Check CARILLON_OPERATOR or CARILLON_API_KEY.",
    403: "It takes the role operator or admin, or an API key with failed:read and failed:write.",
}

Command = Callable[[Api, Screen], Awaitable[int]]


def run(command: Command, *, url: str | None) -> None:
    """Ends with the command's exit code; 1 where the API refuses, 2 where it cannot be asked at all."""
    configure_logging(service="carillon", level="WARNING", format="console", lasting=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # whatever the terminal cannot write
    screen = Screen()
    try:
        access = find_access(url, Home())
        code = _asked(command, access, screen)
        screen.out.file.flush()
    except BrokenPipeError:
        # Whoever read has gone, `head` for one; Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = NOT_DONE
    except OSError as error:
        screen.say(f"This cannot be written or read: {error.strerror or type(error).__name__}.")
        code = NOT_DONE
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)


def _asked(command: Command, access: Access, screen: Screen) -> int:
    async def asking() -> int:
        async with api_for(access) as api:
            return await command(api, screen)

    try:
        return asyncio.run(asking())
    except Refused as refused:
        screen.say(complaint(refused, access.url))
        return NOT_DONE if refused.status or isinstance(refused, InDoubt) else WRONG_USE


def complaint(refused: Refused, url: str) -> str:
    """What to tell a person, with what finds it in the logs."""
    words = str(refused).strip() or f"HTTP {refused.status}"
    sentence = words[0].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")
    if not refused.status:
        sentence = f"The gateway at {url} gives {words}."
    parts = [sentence]
    if isinstance(refused, InDoubt):
        parts.append(DOUBT)
    if refused.status in _HINTS:
        parts.append(_HINTS[refused.status])
    if refused.correlation_id:
        parts.append(f"(correlation id {refused.correlation_id})")
    return " ".join(parts)
