"""The merged log."""

import io

from carillon.console import MergedLog


class GoneTerminal(io.StringIO):
    """A terminal whose window was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_each_line_says_who_speaks() -> None:
    sink = io.StringIO()
    log = MergedLog(sink)
    log.line("email", "service.started\n")
    log.line("gateway", "[error    ] something [bold]odd[/bold]")
    assert sink.getvalue().splitlines() == [
        "email         service.started",
        "gateway       [error    ] something [bold]odd[/bold]",
    ]


def test_a_terminal_that_has_gone_away_stops_nothing() -> None:
    MergedLog(GoneTerminal()).say("still here")
