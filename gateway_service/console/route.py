"""What all pages have in common: their headers, and that an error is a page, too."""

from collections.abc import Callable, Coroutine
from typing import Any, cast
from urllib.parse import urlsplit

import structlog
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse

from gateway_service.console.crossing import is_from_elsewhere
from gateway_service.console.paths import LIVE, ROOT, login_path, return_path
from gateway_service.console.rendering import Renderer
from gateway_service.console.session import LoginNeeded
from shared.database.errors import unavailability
from shared.process.correlation import correlation_id
from shared.web.problems import ApiProblem, as_problem

log = structlog.get_logger()

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
}
SEE_OTHER = 303


class ConsoleRoute(APIRoute):
    """Answers problems with pages, leads whoever is not logged in to the login, and guards every answer."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's own, with that around it."""
        handle = super().get_route_handler()

        async def handle_guarded(request: Request) -> Response:
            try:
                response = await handle(request)
            except LoginNeeded:
                response = _ask_to_log_in(request)
            except ClientDisconnect:
                raise
            except Exception as error:
                response = error_page(request, _problem_of(error, request))
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return handle_guarded


def renderer_of(request: Request) -> Renderer:
    """The app's own."""
    return cast(Renderer, request.app.state.console.renderer)


def see_other(request: Request, path: str) -> Response:
    """Go and look there: what a form leads to, so that loading anew does nothing twice."""
    if request.headers.get("hx-request") == "true":
        return Response(status_code=200, headers={"HX-Redirect": path})
    return RedirectResponse(path, status_code=SEE_OTHER)


def error_page(request: Request, problem: ApiProblem) -> Response:
    """A problem for people. In place of a part of a page the whole is shown."""
    headers = {**problem.headers, "HX-Retarget": "#main", "HX-Reselect": "#main", "HX-Reswap": "outerHTML"}
    if problem.status in (429, 503):
        headers.setdefault("Retry-After", "1")
    return renderer_of(request).page(
        request,
        "error.html",
        status=problem.status,
        headers=headers,
        problem=problem,
        correlation_id=correlation_id(),
    )


def _problem_of(error: Exception, request: Request) -> ApiProblem:
    problem = as_problem(unavailability(error) or error)
    if problem.status == 500:
        log.error("request.failed", method=request.method, route=_template(request), exc_info=error)
    # An address with something else than an id in it is simply none of ours.
    if problem.status == 422 and request.method == "GET":
        return ApiProblem(status=404, detail="There is no page at this address.")
    return problem


def _template(request: Request) -> str:
    return str(getattr(request.scope.get("route"), "path_format", ROOT))


def _ask_to_log_in(request: Request) -> Response:
    path = request.url.path
    if path == LIVE:
        return Response(status_code=401, headers={"WWW-Authenticate": "Cookie"})
    if request.method == "GET":
        back_to = f"{path}?{request.url.query}" if request.url.query else path
    else:
        # The page that the form was on.
        page = urlsplit(request.headers.get("referer", ""))
        back_to = f"{page.path}?{page.query}" if page.query else page.path
    if request.method == "GET" and is_from_elsewhere(request):
        # Asked for anew from here, the browser brings its cookie along.
        return renderer_of(request).page(request, "arriving.html", target=return_path(back_to))
    return see_other(request, login_path(back_to))
