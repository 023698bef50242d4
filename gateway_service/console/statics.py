"""Files that pages load: of our own, and vendored ones (static/vendor/README.md). No other host is asked."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from gateway_service.console.paths import STATIC
from shared.web.problems import not_found

_FOLDER = Path(__file__).parent / "static"
_FILES = {
    "console.css": ("console.css", "text/css"),
    "console.js": ("console.js", "text/javascript"),
    "bell.svg": ("bell.svg", "image/svg+xml"),
    "htmx.js": ("vendor/htmx.min.js", "text/javascript"),
    "pico.css": ("vendor/pico.min.css", "text/css"),
}
_FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True, kw_only=True)
class _File:
    content: bytes
    compressed: bytes
    media_type: str


class Statics:
    """All of them, read once. Their address names what is in them, so that a browser keeps them for good."""

    def __init__(self) -> None:
        self._files = {name: _read(path, media_type) for name, (path, media_type) in _FILES.items()}
        whole = hashlib.sha256(b"".join(file.content for file in self._files.values()))
        self.version = whole.hexdigest()[:12]

    def url(self, name: str) -> str:
        """Where it is."""
        if name not in self._files:
            raise KeyError(name)
        return f"{STATIC}/{self.version}/{name}"

    def answer(self, request: Request, version: str, name: str) -> Response:
        """The file. Raises a 404 problem. While gateways are exchanged one after another, a page of one may
        ask another for its files: those are then not to be kept."""
        file = self._files.get(name)
        if file is None:
            raise not_found("There is no such file.")
        zipped = "gzip" in request.headers.get("accept-encoding", "")
        headers = {
            "Cache-Control": _FOR_GOOD if version == self.version else "no-cache",
            "Vary": "Accept-Encoding",
        }
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return Response(
            file.compressed if zipped else file.content, media_type=file.media_type, headers=headers
        )


def static_router(statics: Statics, *, route_class: type[APIRoute]) -> APIRouter:
    """Open to all: what is in them is no secret."""
    router = APIRouter(route_class=route_class)

    @router.get("/static/{version}/{name}")
    async def show_file(version: str, name: str, request: Request) -> Response:
        return statics.answer(request, version, name)

    return router


def _read(path: str, media_type: str) -> _File:
    content = (_FOLDER / path).read_bytes()
    return _File(content=content, compressed=gzip.compress(content, 6, mtime=0), media_type=media_type)
