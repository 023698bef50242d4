"""What the commands write: tables in a terminal, tab-separated lines in a pipe, JSON for machines.

Errors come from mail servers and senders, so whatever could steer a terminal is made visible first.
"""

import signal
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console, RenderableType
from rich.text import Text

from carillon.setup_error import SetupError

_NOTHING = "-"
_STEERING = frozenset("\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SPANS = ((86_400 * 3, 86_400, "d"), (3600 * 2, 3600, "h"), (60 * 2, 60, "min"), (0, 1, "s"))
_YES = frozenset({"y", "yes"})


class Screen:
    """Results go to stdout; what is said about them, questions and progress to stderr."""

    def __init__(self, *, out: Console | None = None, err: Console | None = None) -> None:
        self.out = out or Console(highlight=False, markup=False, emoji=False)
        self.err = err or Console(stderr=True, highlight=False, markup=False, emoji=False)

    @property
    def is_terminal(self) -> bool:
        """Whether somebody reads the results here."""
        return self.out.is_terminal

    def say(self, sentence: str, *, style: str = "") -> None:
        """A sentence about what is being done."""
        self.err.print(Text(visible(sentence), style=style), soft_wrap=True)

    def rows(self, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """For a pipe: the names, then a line for each row, with tabs between."""
        for row in (names, *rows):
            self.line("\t".join(plain(value) for value in row))

    def line(self, text: str) -> None:
        """Text as it is."""
        self.out.file.write(f"{text}\n")

    def show(self, what: RenderableType, *, soft_wrap: bool = False) -> None:
        """For a person."""
        self.out.print(what, soft_wrap=soft_wrap)

    def require_yes(self, question: str) -> bool:
        """Whether the person wants that. Raises SetupError where nobody can be asked."""
        if not (sys.stdin.isatty() and self.err.is_terminal):
            raise SetupError("Nobody can be asked here: look with --dry-run, then confirm with --yes.")
        with _ctrl_c_interrupts():
            self.err.print(Text(f"{visible(question)} [y/N] "), end="", soft_wrap=True)
            answer = sys.stdin.readline()
        if not answer:
            self.err.print()
        return answer.strip().lower() in _YES


@contextmanager
def _ctrl_c_interrupts() -> Iterator[None]:
    """asyncio's own handler cancels a task, which nobody would notice before the line is read."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def visible(text: str) -> str:
    """With line breaks and tabs as they are, and everything else that steers a terminal written out."""
    if text.isprintable():
        return text
    return "".join(
        each if each in "\n\t" or not _steers(each) else each.encode("unicode_escape").decode()
        for each in text
    )


def _steers(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") or character in _STEERING


def plain(value: object) -> str:
    """In one field of a line."""
    if value is None:
        return _NOTHING
    if isinstance(value, datetime):
        return timestamp(value)
    return " ".join(visible(str(value)).split())


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC, in seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(at: datetime, *, now: datetime) -> str:
    """How long ago, in one unit."""
    seconds = max(0, int((now - at).total_seconds()))
    return next(f"{seconds // unit} {name}" for least, unit, name in _SPANS if seconds >= least)


def first_line(text: str) -> str:
    """For a table."""
    return next((line.strip() for line in visible(text).splitlines() if line.strip()), "")
