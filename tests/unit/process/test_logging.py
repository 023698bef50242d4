"""The promises of the logs, seen on the standard output of a process."""

import json
import subprocess
import sys

import pytest

from shared.process.redaction import HIDDEN, hide_sensitive_fields, scrub

SPEAKING = """
import logging, structlog
from shared.process.logging import bind_correlation_id, configure_logging
configure_logging(service="demo", level="{level}", format="{format}")
log = structlog.get_logger()
log.debug("too.quiet")
log.info("before.binding", count=3)
bind_correlation_id("mine.1")
log.info("attempt.settled", token="hunter2", access_token="hunter2", to="ann@example.com", port=25,
         nested={{"email": "ann@example.com", "deeper": {{"variables": {{"a": "hunter2"}}, "kept": 1}}}})
logging.getLogger("library").warning("from %s", "a library", extra={{"password": "hunter2"}})
logging.getLogger("httpx").info("GET https://example.com/?token=hunter2")
said = "refused <ann@example.com> by postgresql://me:hunter2@db/x\\nDETAIL:  Key (x)=(hunter2)"
try:
    raise ValueError(said)
except ValueError:
    log.exception("it.failed")
    logging.getLogger("library").exception("it failed there")
"""


def output_of(*, format: str, level: str = "INFO") -> str:  # noqa: A002 - its name in the settings
    """What a process that logs says."""
    script = SPEAKING.format(level=level, format=format)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_each_line_is_an_object_with_service_and_correlation_id() -> None:
    events = [json.loads(line) for line in output_of(format="json").splitlines()]
    assert [event["event"] for event in events] == [
        "before.binding",
        "attempt.settled",
        "from a library",
        "it.failed",
        "it failed there",
    ]
    assert {event["service"] for event in events} == {"demo"}
    assert [event.get("correlation_id") for event in events] == [None, *["mine.1"] * 4]
    assert all(event["timestamp"].endswith("Z") for event in events)
    assert events[0]["count"] == 3
    assert events[1]["port"] == 25
    assert events[1]["nested"]["deeper"] == {"variables": HIDDEN, "kept": 1}
    assert events[2]["logger"] == "library"
    assert "ValueError" in events[3]["exception"]
    assert "Traceback" in events[4]["exception"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_nothing_sensitive_is_written(form: str) -> None:
    output = output_of(format=form)
    assert "it.failed" in output
    assert "it failed there" in output
    assert "hunter2" not in output
    assert "ann@example.com" not in output


def test_the_level_decides() -> None:
    assert "too.quiet" in output_of(format="json", level="DEBUG")
    assert "attempt.settled" not in output_of(format="json", level="WARNING")


@pytest.mark.parametrize(
    "name", ["password", "Authorization", "smtp_password", "X-Api-Token", "to", "email", "body", "variables"]
)
def test_fields_with_sensitive_names_are_hidden(name: str) -> None:
    assert hide_sensitive_fields(None, "info", {name: "hunter2"}) == {name: HIDDEN}


@pytest.mark.parametrize("name", ["event", "host", "token_age_s", "email_count", "notification_id", "bodies"])
def test_other_fields_are_kept(name: str) -> None:
    assert hide_sensitive_fields(None, "info", {name: "value"}) == {name: "value"}


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("550 <ann.b+c@example.com> unknown", f"550 <{HIDDEN}> unknown"),
        ("amqp://guest:pa:ss@host/v", f"amqp://guest:{HIDDEN}@host/v"),
        ("no address @ all", "no address @ all"),
    ],
)
def test_free_text_is_scrubbed(text: str, scrubbed: str) -> None:
    assert scrub(text) == scrubbed
