"""The merged log of `carillon up`: every line with the name of who says it."""

import contextlib
from typing import IO

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style

_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_magenta")
_NAME_WIDTH = 13
_LOUD = {"[error": "red", "[critical": "bold red", "[warning": "yellow", "Traceback": "red"}


class MergedLog:
    """Writes to the terminal. Where that has gone away, it goes on silently: services must not end for it.

    Styles are rich's, written directly: under load a service says a thousand lines a second.
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        console = Console(file=file)
        self._file = console.file
        self._colour_system = ColorSystem.STANDARD if console.is_terminal and not console.no_color else None
        self._prefixes: dict[str, str] = {}

    def line(self, name: str, text: str) -> None:
        """A line that the process `name` has written."""
        if name not in self._prefixes:
            colour = _COLOURS[len(self._prefixes) % len(_COLOURS)]
            self._prefixes[name] = self._styled(f"{name:<{_NAME_WIDTH}} ", colour)
        style = next((loud for mark, loud in _LOUD.items() if mark in text), "")
        self.plain(self._prefixes[name] + self._styled(text.rstrip("\r\n"), style))

    def say(self, sentence: str, *, style: str = "bold") -> None:
        """A sentence of our own."""
        self.plain(self._styled(f"{'carillon':<{_NAME_WIDTH}} ", "bold") + self._styled(sentence, style))

    def plain(self, text: str) -> None:
        """Text as it is, to be copied."""
        with contextlib.suppress(OSError, ValueError):
            self._file.write(f"{text}\n")
            self._file.flush()

    def _styled(self, text: str, style: str) -> str:
        return Style.parse(style).render(text, color_system=self._colour_system) if style else text
