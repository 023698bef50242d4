"""The correlation id of a request: taken over from the caller where it is sane, and on every answer."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.process.correlation import HEADER, correlation_scope, is_sane, new_correlation_id

_HEADER_BYTES = HEADER.lower().encode()


class CorrelationMiddleware:
    """Outermost, so that 500s carry the header too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        correlation_id = _of_caller(scope) or new_correlation_id()

        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = correlation_id
            await send(message)

        with correlation_scope(correlation_id):
            await self._app(scope, receive, send_with_header)


def _of_caller(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _HEADER_BYTES:
            candidate: str = value.decode("latin-1")
            return candidate if is_sane(candidate) else None
    return None
