"""Serving a page of this folder: its HTML at `/`, its script and the common style beside it."""

from contextlib import suppress
from pathlib import Path

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, PlainTextResponse

from shared.web.quiet_server import QuietServer

_FOLDER = Path(__file__).parent
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_routes(page: str) -> APIRouter:
    """Routes for `<page>.html`, `<page>.js` and `style.css`, and `/health`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def show_page() -> FileResponse:
        return FileResponse(_FOLDER / f"{page}.html", headers=_HEADERS)

    @router.get("/page.js")
    async def show_script() -> FileResponse:
        return FileResponse(_FOLDER / f"{page}.js", media_type="text/javascript", headers=_HEADERS)

    @router.get("/style.css")
    async def show_style() -> FileResponse:
        return FileResponse(_FOLDER / "style.css", headers=_HEADERS)

    @router.get("/health")
    async def health() -> PlainTextResponse:
        return PlainTextResponse("ok")

    return router


def serve(app: FastAPI, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    server = QuietServer(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
    # A Ctrl-C is how it ends, and no reason for a traceback.
    with suppress(KeyboardInterrupt):
        server.run()
