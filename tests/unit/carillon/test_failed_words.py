"""What a person writes and reads: times, ages, answers to a question."""

import io
import sys
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from carillon.failed.options import Which, as_query
from carillon.failed.screen import Screen, age, visible
from carillon.setup_error import SetupError
from shared.contracts.channels import Channel

NOW = datetime(2030, 1, 31, 8, 0, tzinfo=UTC)


class Keyboard(io.StringIO):
    """Somebody sits at it."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("30m", "2030-01-31T07:30:00Z"),
        ("2h", "2030-01-31T06:00:00Z"),
        ("1d", "2030-01-30T08:00:00Z"),
        ("now", "2030-01-31T08:00:00Z"),
        ("2030-01-31T08:00:00.250+01:00", "2030-01-31T07:00:00.250000Z"),
    ],
)
def test_a_time_is_rfc_3339_or_how_long_ago(text: str, query: str) -> None:
    which = Which(since=text, type=Channel.PUSH)
    assert as_query(which.filter(NOW)) == {"notification_type": "push", "since": query}


@pytest.mark.parametrize("text", ["2", "h", "-2h", "2 h", "999999w", "2030-01-31", "2030-01-31T08:00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SetupError, match="--until"):
        Which(until=text).filter(NOW)


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=119), "119 s"),
        (timedelta(minutes=119), "119 min"),
        (timedelta(hours=71), "71 h"),
        (timedelta(days=3), "3 d"),
    ],
)
def test_an_age_has_one_unit(ago: timedelta, words: str) -> None:
    assert age(NOW - ago, now=NOW) == words


def test_words_of_every_language_stay_as_they_are() -> None:
    assert visible("Größe 日本語 é\tعربي\n") == "Größe 日本語 é\tعربي\n"
    assert visible("a\x1bb\u2066c\x7f\r") == r"a\x1bb\u2066c\x7f\r"


@pytest.mark.parametrize(
    ("typed", "agreed"), [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_only_yes_is_yes(monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard(typed))
    screen = Screen(err=Console(file=io.StringIO(), force_terminal=True))
    assert screen.require_yes("Send 5?") is agreed
