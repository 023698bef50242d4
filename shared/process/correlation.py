"""The correlation id: one per request, carried over HTTP and the broker into every line of the log."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from shared.process.identifiers import uuid7

HEADER = "X-Correlation-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")
_current: ContextVar[str | None] = ContextVar("correlation_id", default=None)


def new_correlation_id() -> str:
    """A fresh one."""
    return str(uuid7())


def is_sane(candidate: str) -> bool:
    """Whether a caller's id may be taken over: 1 to 128 of `A-Za-z0-9._-`."""
    return _SANE.fullmatch(candidate) is not None


def bound_correlation_id() -> str | None:
    """The one bound in this context, if any."""
    return _current.get()


def correlation_id() -> str:
    """The one bound in this context; binds a new one where there is none, so that what a background
    task logs and the calls it makes can be told to belong together."""
    current = _current.get()
    if current is None:
        current = new_correlation_id()
        _current.set(current)
    return current


def bind_correlation_id(value: str) -> None:
    """Bind for the rest of this task."""
    _current.set(value)


@contextmanager
def correlation_scope(value: str) -> Iterator[None]:
    """Bind for the length of a block."""
    token = _current.set(value)
    try:
        yield
    finally:
        _current.reset(token)
