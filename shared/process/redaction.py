"""Keeps addresses, secrets and contents out of the log, whoever logs them by mistake."""

import re
from collections.abc import Mapping
from functools import lru_cache

from structlog.typing import EventDict, WrappedLogger

HIDDEN = "[hidden]"
_WORDS = frozenset(
    {
        "address",
        "authorization",
        "body",
        "content",
        "cookie",
        "email",
        "password",
        "phone",
        "recipient",
        "secret",
        "subject",
        "to",
        "token",
        "variables",
    }
)
_LAST_WORDS = frozenset(
    {"address", "authorization", "cookie", "email", "password", "phone", "secret", "token", "variables"}
)
_MAIL_ADDRESS = re.compile(r"[^\s@<>\"'(\[\]=,;:]+@[^\s@<>\"')\[\],;:]+")
_URL_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):([^\s@]*)@")
_DATABASE_DETAIL = re.compile(r"^(DETAIL|CONTEXT):.*$", re.MULTILINE)


def hide_sensitive_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: the value of a field whose name is sensitive is replaced, at any depth."""
    for key, value in event.items():
        if _is_sensitive(key):
            event[key] = HIDDEN
        elif isinstance(value, Mapping):
            event[key] = _hide(value)
    return event


def scrub_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor for rendered tracebacks: PostgreSQL quotes rows in DETAIL, mail servers echo
    addresses, and URLs hold passwords."""
    text = event.get("exception")
    if isinstance(text, str):
        event["exception"] = scrub(text)
    return event


def scrub(text: str) -> str:
    """Free text without mail addresses, passwords in URLs and quoted rows."""
    text = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
    text = _DATABASE_DETAIL.sub(rf"\1:  {HIDDEN}", text)
    return _MAIL_ADDRESS.sub(HIDDEN, text)


def _hide(fields: Mapping[object, object]) -> dict[object, object]:
    return {
        key: HIDDEN
        if isinstance(key, str) and _is_sensitive(key)
        else (_hide(value) if isinstance(value, Mapping) else value)
        for key, value in fields.items()
    }


@lru_cache(maxsize=2048)
def _is_sensitive(key: str) -> bool:
    lowered = key.lower().replace("-", "_")
    return lowered in _WORDS or lowered.rpartition("_")[2] in _LAST_WORDS
