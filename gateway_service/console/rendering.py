"""Pages from templates: everything that is shown is escaped, and a name that is not given is an error."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from fastapi import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pydantic import JsonValue
from starlette.responses import HTMLResponse

from gateway_service.console.crossing import FIELD
from gateway_service.console.paths import page_of
from gateway_service.console.session import Session
from gateway_service.console.statics import Statics

_TEMPLATES = Path(__file__).parent / "templates"

NOTHING = "\u2013"
SYMBOLS = {
    "good": "✓",
    "bad": "✗",
    "doubt": "?",
    "busy": "…",
    "idle": NOTHING,
}
"""Beside every colour stands a sign and a word."""
_TONES = {
    "good": ("sent", "delivered", "completed", "ready", "closed", "accepted by provider", "reprocessed"),
    "bad": ("failed", "bounced", "stopped", "not_ready", "no_answer", "open", "rejected"),
    "doubt": ("unknown", "half-open", "retryable", "throttled", "paused"),
    "busy": ("accepted", "queued", "sending", "retrying", "scheduled", "deferred", "running", "in_flight"),
}
_TONE_OF = {word: tone for tone, words in _TONES.items() for word in words}


class Renderer:
    """Makes pages. Templates are compiled once and kept."""

    def __init__(self, statics: Statics) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(
            time=time_element, tone=tone, words=in_words, span=duration, number=number, pretty=pretty
        )
        self._environment.globals.update(
            static=statics.url, form_field=FIELD, symbols=SYMBOLS, query=query_string
        )

    def fragment(self, template: str, **values: object) -> Markup:
        """A part of a page."""
        return Markup(self._environment.get_template(template).render(values))  # noqa: S704 - escaped there

    def page(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> Response:
        """A whole page, for whoever is logged in."""
        session: Session | None = getattr(request.state, "session", None)
        text = self.fragment(
            template,
            session=session,
            path=page_of(request.url.path),
            method=request.method,
            request_cursor=request.query_params.get("cursor"),
            **values,
        )
        return HTMLResponse(text, status_code=status, headers=headers)


def time_element(at: datetime | None) -> Markup:
    """`2030-01-31 08:00:00 UTC`, readable by machines, too."""
    if at is None:
        return Markup("\u2013")
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        utc.strftime("%Y-%m-%dT%H:%M:%SZ"), utc.strftime("%Y-%m-%d %H:%M:%S")
    )


def tone(word: str) -> str:
    """What a status is: good, bad, in doubt, at work or at rest."""
    return _TONE_OF.get(word, "idle")


def in_words(name: str) -> str:
    """`not_ready` for people."""
    return name.replace("_", " ")


def duration(seconds: float | None) -> str:
    """The two largest units that count: `3 min 20 s`."""
    if seconds is None:
        return NOTHING
    whole = int(seconds)
    parts = [(whole // 86_400, "d"), (whole // 3_600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count or len(parts) == 1)


def number(count: float) -> str:
    """With thin spaces between thousands; no fraction where there is none."""
    return (
        f"{count:,.10g}".replace(",", "\u202f")
        if count != int(count)
        else f"{int(count):,}".replace(",", "\u202f")
    )


def pretty(value: JsonValue) -> str:
    """JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def query_string(**values: object) -> str:
    """`?a=1`, of what is given."""
    given = {name: str(value) for name, value in values.items() if value not in (None, "")}
    return f"?{urlencode(given)}" if given else ""
