"""The correlation id of a request: taken over from the caller where it is sane, and on every answer."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.process.correlation import HEADER, correlation_scope, is_sane, new_correlation_id

_HEADER_BYTES = HEADER.lower().encode()


class CorrelationMiddleware:
    """Outside of whatever may fail, so that 500s carry the header too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        correlation_id = of_caller(scope) or new_correlation_id()
        with correlation_scope(correlation_id):
            await self._app(scope, receive, with_correlation_id(send, correlation_id))


def with_correlation_id(send: Send, correlation_id: str) -> Send:
    """As `send`, with the header on the answer."""

    async def send_with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)[HEADER] = correlation_id
        await send(message)

    return send_with_header


def of_caller(scope: Scope) -> str | None:
    """The id that the caller sent; None where it sent none, or one that is not sane."""
    for name, value in scope["headers"]:
        if name == _HEADER_BYTES:
            candidate: str = value.decode("latin-1")
            return candidate if is_sane(candidate) else None
    return None
