"""Logging in and out: the same accounts, and the same limits, as for the API."""

from typing import cast

import msgspec
import structlog
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from gateway_service.api.access import AccessControl
from gateway_service.api.forwarding import INVALID_CREDENTIALS
from gateway_service.api.password_login import log_in_by_password
from gateway_service.console.paths import LOGIN, return_path
from gateway_service.console.route import ConsoleRoute, renderer_of, see_other
from gateway_service.console.session import LoginNeeded, sessions_of
from shared.clients.peer import PeerError
from shared.contracts.http.auth import Credentials, RefreshRequest
from shared.web.problems import ApiProblem

log = structlog.get_logger()

router = APIRouter(route_class=ConsoleRoute)

_WRONG = "This email and password do not belong together."
_TOO_OFTEN = "Too many attempts. Wait for a while, then try again."
_AWAY = "Nobody can be logged in just now: the user service does not answer. Try again in a moment."


class _Tokens(msgspec.Struct):
    access_token: str
    expires_in: int
    refresh_token: str


@router.get("/login")
async def show_login(request: Request, next: str | None = None) -> Response:  # noqa: A002 - as in the address
    """The form; whoever is logged in already goes on."""
    try:
        await sessions_of(request).find(request)
    except (LoginNeeded, ApiProblem):
        return _form(request, back_to=return_path(next))
    return see_other(request, return_path(next))


@router.post("/login")
async def log_in(request: Request) -> Response:
    """To where one wanted to go. The browser gets the access token alone; the refresh token, which would
    last longer, is ended at once."""
    sessions = sessions_of(request)
    form = await request.form()
    back_to = return_path(_text(form.get("next")))
    email = _text(form.get("email")).strip()
    try:
        await sessions.check_token(request, sessions.cookies.login(request))
        tokens = await _tokens(request, email, _text(form.get("password")))
    except ApiProblem as problem:
        return _form(request, back_to=back_to, email=email, problem=problem)
    await _end_refreshing(request, tokens.refresh_token)
    await sessions.of_token(request, tokens.access_token)  # 403 for who has no business here
    response = see_other(request, back_to)
    sessions.cookies.keep_session(request, response, tokens.access_token, lasts_s=tokens.expires_in)
    sessions.cookies.end_login(request, response)
    return response


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """The browser forgets the token; whoever is not logged in is where they want to be."""
    sessions = sessions_of(request)
    if sessions.cookies.session(request) is not None:
        await sessions.check_form(request)
    response = see_other(request, LOGIN)
    sessions.cookies.end_session(request, response)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


async def _tokens(request: Request, email: str, password: str) -> _Tokens:
    access = cast(AccessControl, request.app.state.access)
    try:
        credentials = Credentials(email=email, password=password)
    except ValidationError as error:
        raise ApiProblem(status=401, kind=INVALID_CREDENTIALS, detail=_WRONG) from error
    answer = await log_in_by_password(access, request, credentials)
    return msgspec.json.decode(bytes(answer.body), type=_Tokens)


async def _end_refreshing(request: Request, token: str) -> None:
    """Nobody holds it, so that where the user service is gone in between no harm is done."""
    access = cast(AccessControl, request.app.state.access)
    body = RefreshRequest(refresh_token=token).model_dump_json().encode()
    try:
        await access.logins.call("POST", "/internal/v1/auth/logout", content=body)
    except PeerError as error:
        log.warning("console.refresh_token_left", reason=str(error))


def _form(request: Request, *, back_to: str, email: str = "", problem: ApiProblem | None = None) -> Response:
    sessions = sessions_of(request)
    status, sentence = (200, None) if problem is None else (problem.status, _sentence(problem))
    headers = {} if problem is None else {k: v for k, v in problem.headers.items() if k == "Retry-After"}
    # The form needs what is in the cookie, and the page is there only after it: so the cookie comes first.
    answer = Response()
    token = sessions.cookies.keep_login(request, answer)
    page = renderer_of(request).page(
        request,
        "login.html",
        status=status,
        headers=headers,
        form_token=sessions.form_tokens.issue(token),
        back_to=back_to,
        email=email,
        sentence=sentence,
        expired=back_to != return_path(None) and problem is None,
    )
    page.headers.append("set-cookie", answer.headers["set-cookie"])
    return page


def _sentence(problem: ApiProblem) -> str:
    by_status = {401: _WRONG, 429: _TOO_OFTEN, 503: _AWAY}
    return by_status.get(problem.status, problem.detail)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
