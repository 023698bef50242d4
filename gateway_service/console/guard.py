"""What every answer below /console has, whoever gives it: its routes, or the shell around them, which refuses
requests before any route is asked."""

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway_service.console.paths import is_ours, page_of
from gateway_service.console.rendering import Renderer
from shared.web.problems import MEDIA_TYPE, ApiProblem, FieldError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
_HEAD_KEY = "carillon.console_head"


class _Told(msgspec.Struct):
    """A problem as it was sent."""

    type: str
    title: str
    status: int
    detail: str
    correlation_id: str
    errors: tuple[FieldError, ...] = ()


class ConsoleGuard:
    """Sets headers, and shows a problem that the shell answers with as a page to whoever opens one. A script
    is told the problem itself: the page that it would change stays as it is. Stands around everything."""

    def __init__(self, app: ASGIApp, *, renderer: Renderer) -> None:
        self._app = app
        self._renderer = renderer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or not is_ours(scope["path"]):
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope[_HEAD_KEY] = True
        as_page = _opens_a_page(scope)
        held: Message | None = None
        body = b""

        async def send_guarded(message: Message) -> None:
            nonlocal held, body
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if as_page and headers.get("content-type") == MEDIA_TYPE:
                    held = message
                    return
            elif held is not None:
                body += message.get("body", b"")
                more = bool(message.get("more_body"))
                # The rest of a refused body may be read after the whole answer is there.
                if more and len(body) < int(MutableHeaders(scope=held).get("content-length", "0")):
                    return
                beginning, held = held, None
                page = self._page(scope, body)
                headers = MutableHeaders(scope=beginning)
                headers["Content-Type"] = "text/html; charset=utf-8"
                headers["Content-Length"] = str(len(page))
                await send(beginning)
                message = {"type": "http.response.body", "body": page, "more_body": more}
            await send(message)

        await self._app(scope, receive, send_guarded)

    def _page(self, scope: Scope, body: bytes) -> bytes:
        told = msgspec.json.decode(body, type=_Told)
        problem = ApiProblem(
            status=told.status,
            kind=told.type.rpartition(":")[2],
            title=told.title,
            detail=told.detail,
            errors=told.errors,
        )
        page = self._renderer.fragment(
            "error.html",
            session=None,
            path=page_of(scope["path"]),
            method=scope["method"],
            request_cursor=None,
            problem=problem,
            correlation_id=told.correlation_id,
        )
        return page.encode()


def is_head(scope: Scope) -> bool:
    """Whether the headers alone are asked for; routes see a GET."""
    return _HEAD_KEY in scope


def _opens_a_page(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    by_browser = "text/html" in headers.get("accept", "") and "hx-request" not in headers
    return by_browser and scope["method"] != "HEAD"
