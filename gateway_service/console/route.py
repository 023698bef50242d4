"""What all pages have in common: an error is a page, too, and so is the way to the login."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

import structlog
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse

from gateway_service.console.crossing import is_from_elsewhere
from gateway_service.console.paths import LIVE, ROOT, login_path, parts_of, return_path
from gateway_service.console.rendering import Renderer
from gateway_service.console.session import LoginNeeded
from shared.database.errors import unavailability
from shared.process.correlation import correlation_id
from shared.web.acquaintances import disown
from shared.web.problems import ApiProblem, as_problem

log = structlog.get_logger()

_OURS = {"Carillon-Console": "page"}
"""By this the script on a page knows that an answer is for it, and none of a proxy on the way."""
MOST_FORM_BYTES = 64 * 1024
SEE_OTHER = 303


class ConsoleRoute(APIRoute):
    """Answers problems with pages, and leads whoever is not logged in to the login."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's own, with that around it."""
        handle = super().get_route_handler()

        async def handle_for_people(request: Request) -> Response:
            try:
                await _check_size(request)
                response = await handle(request)
            except LoginNeeded:
                disown(request.scope)
                response = _ask_to_log_in(request)
            except ClientDisconnect:
                raise
            except Exception as error:
                response = error_page(request, _problem_of(error, request))
            response.headers.update(_OURS)
            return response

        return handle_for_people


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


async def _check_size(request: Request) -> None:
    # Taking a form apart costs more than reading it.
    if request.method == "POST" and len(await request.body()) > MOST_FORM_BYTES:
        raise ApiProblem(status=413, detail="A form may have 64 KiB at most. Nothing was done.")


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
        page = parts_of(request.headers.get("referer", ""))
        back_to = ROOT if page is None else f"{page.path}?{page.query}" if page.query else page.path
    if request.method == "GET" and is_from_elsewhere(request):
        # Asked for anew from here, the browser brings its cookie along.
        return renderer_of(request).page(request, "arriving.html", target=return_path(back_to))
    return see_other(request, login_path(back_to))
