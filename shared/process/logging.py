"""Logs: events with fields, one form for our own and for the libraries', nothing sensitive in them."""

import logging
import sys
from typing import Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.process.correlation import (
    bind_correlation_id,
    bound_correlation_id,
    correlation_id,
    correlation_scope,
    new_correlation_id,
)
from shared.process.redaction import hide_sensitive_fields, scrub_exception

__all__ = [
    "bind_correlation_id",
    "configure_logging",
    "correlation_id",
    "correlation_scope",
    "new_correlation_id",
]

_FIRST_FIELDS = ("timestamp", "level", "service", "event", "correlation_id")
_QUIET_LIBRARIES = (
    "httpx",
    "httpcore",
    "aio_pika",
    "aiormq",
    "asyncio",
    "sqlalchemy",
    "limits",
    "mail.log",
    "uvicorn",
)


def configure_logging(
    *,
    service: str,
    level: str = "INFO",
    format: Literal["json", "console"] = "json",  # noqa: A002 - its name in the settings
    lasting: bool = True,
) -> None:
    """Route structlog and the standard library's loggers to stdout in one form. Call once, first thing.
    `lasting`: for as long as the process lives, so that loggers need not ask again; that is quicker."""
    threshold = logging.getLevelNamesMapping()[level]
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _Identity(service),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_sensitive_fields,
        structlog.processors.format_exc_info,
        scrub_exception,
    ]
    structlog.configure(
        processors=[*common, *_renderers(format)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=lasting,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), _add_logger_name, *common],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(format)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(threshold)
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers = []
        library.propagate = name != "uvicorn.access"


class _Identity:
    """Adds which service speaks, and for which request."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", self._service)
        bound = bound_correlation_id()
        if bound is not None:
            event.setdefault("correlation_id", bound)
        return event


def _add_logger_name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    if record is not None:
        event["logger"] = record.name
    return event


def _renderers(format: Literal["json", "console"]) -> list[Processor]:  # noqa: A002 - as above
    if format == "json":
        return [structlog.processors.JSONRenderer(serializer=_to_json)]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _to_json(event: EventDict, **_: object) -> str:
    ordered = {name: event.pop(name) for name in _FIRST_FIELDS if name in event}
    ordered.update(event)
    return msgspec.json.encode(ordered, enc_hook=repr).decode()
