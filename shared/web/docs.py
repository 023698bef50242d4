"""/docs: Swagger UI from files of our own, so that it works without the Internet and asks no other host."""

import html
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse

from shared.web.problems import not_found

_FOLDER = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "docs.js": "text/javascript",
}
# Swagger UI writes styles into its elements and has its icons as data.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript; what it shows is <a href="openapi.json">openapi.json</a>.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/docs.js"></script>
</body>
</html>
"""


def docs_router(*, title: str) -> APIRouter:
    """The page and its files. "Authorize" logs in at the token route of the description, by script."""
    page = _PAGE.format(title=html.escape(title))
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def show_page() -> HTMLResponse:
        return HTMLResponse(page, headers=_HEADERS)

    @router.get("/docs/{name}")
    async def show_file(name: str) -> FileResponse:
        if name not in _MEDIA_TYPES:
            raise not_found("There is no such file.")
        return FileResponse(_FOLDER / name, media_type=_MEDIA_TYPES[name], headers=_HEADERS)

    return router
