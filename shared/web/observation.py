"""What is seen of every request: one event in the log, metrics by route, and the unexpected error."""

import time

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.process.metrics import counter, histogram
from shared.web.problems import as_problem, problem_response

log = structlog.get_logger()

QUIET_PATHS = frozenset({"/health", "/ready", "/metrics"})
"""Asked every few seconds by machines; logged at debug."""
_UNROUTED = "unrouted"
"""No route was looked for or found: an unknown path, a body that was refused, the docs."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT_GONE = 499

_requests = counter("http_requests", "Requests answered", ("method", "route", "status"))
_durations = histogram(
    "http_request_duration_seconds",
    "From the request's headers to the last byte of the answer",
    ("method", "route"),
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class ObservationMiddleware:
    """Turns what no handler expected into a 500 that tells nothing, and logs it with its traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status: int | None = None

        async def send_and_look(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_look)
        except ClientDisconnect:
            status = status or _CLIENT_GONE
        except Exception as error:
            log.exception("request.failed", method=scope["method"], route=route_template(scope))
            if status is not None:
                # The answer has begun: only breaking it off tells the client that it is not whole.
                raise
            await problem_response(as_problem(error), path=scope["path"])(scope, receive, send_and_look)
        finally:
            _observe(scope, status=status or _CLIENT_GONE, duration_s=time.perf_counter() - started)


def _observe(scope: Scope, *, status: int, duration_s: float) -> None:
    # A client may invent methods and paths; labels stay few.
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    route = route_template(scope)
    _requests.labels(method, route, str(status)).inc()
    _durations.labels(method, route).observe(duration_s)
    record = log.debug if route in QUIET_PATHS or (status < 400 and _is_internal(route)) else log.info
    record(
        "request.answered", method=method, route=route, status=status, duration_ms=round(duration_s * 1e3, 2)
    )


def _is_internal(route: str) -> bool:
    """Between services: hundreds a second, each told of by whoever asked where it matters."""
    return route.startswith("/internal/")


def route_template(scope: Scope) -> str:
    """`/api/v1/notifications/{notification_id}`: never the path itself, which can hold anything."""
    # The route object knows its path without the prefixes of the routers it was included through;
    # FastAPI keeps the whole one beside it.
    context = scope.get("fastapi", {}).get("effective_route_context")
    template = getattr(context, "path_format", None) or getattr(scope.get("route"), "path_format", None)
    return template if isinstance(template, str) else _UNROUTED
