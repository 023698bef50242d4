"""The console's two cookies: the session's, and the one that the login form belongs to."""

import secrets

from fastapi import Request, Response
from starlette.types import Scope

from gateway_service.api.client_address import Network, parsed_address
from gateway_service.console.paths import LOGIN, ROOT, is_ours

_SESSION = "carillon_console"
_LOGIN = "carillon_console_login"
_SECURE = "__Secure-"
"""Browsers take a cookie of such a name by https alone, so that nobody can plant one by http. `__Host-` would
have it sent to every path of the host, the API's too."""
_LOGIN_LASTS_S = 3_600
_LONGEST = 4_096


def session_credentials(scope: Scope) -> bytes | None:
    """What a request to the console brings as its session, unchecked; under both names, since which of them
    counts is known only where the proxies are. For whoever lets requests in."""
    if not is_ours(scope["path"]):
        return None
    cookies = Request(scope).cookies
    values = [cookies.get(name, "") for name in (_SECURE + _SESSION, _SESSION)]
    return "\n".join(values).encode() if any(values) else None


class Cookies:
    """`trusted`: proxies that are believed about https."""

    def __init__(self, trusted: tuple[Network, ...]) -> None:
        self._trusted = trusted

    def session(self, request: Request) -> str | None:
        """The access token that the browser holds, unchecked."""
        return self._read(request, _SESSION)

    def keep_session(self, request: Request, response: Response, token: str, *, lasts_s: int) -> None:
        """Have the browser hold the access token, out of reach of scripts."""
        self._set(request, response, _SESSION, token, path=ROOT, lasts_s=lasts_s)

    def end_session(self, request: Request, response: Response) -> None:
        """Have the browser forget it."""
        self._set(request, response, _SESSION, "", path=ROOT, lasts_s=0)

    def login(self, request: Request) -> str | None:
        """What the login form that the browser shows was made for."""
        return self._read(request, _LOGIN)

    def keep_login(self, request: Request, response: Response) -> str:
        """The same, made where there is none yet, and kept for another hour."""
        value = self.login(request) or secrets.token_urlsafe(32)
        self._set(request, response, _LOGIN, value, path=LOGIN, lasts_s=_LOGIN_LASTS_S)
        return value

    def end_login(self, request: Request, response: Response) -> None:
        """It served its purpose."""
        self._set(request, response, _LOGIN, "", path=LOGIN, lasts_s=0)

    def by_https(self, request: Request) -> bool:
        """Whether the browser speaks https, also where a trusted proxy ends it."""
        if request.url.scheme == "https":
            return True
        if not is_trusted(request, self._trusted):
            return False
        last = request.headers.getlist("x-forwarded-proto")[-1:]
        return bool(last) and last[0].rpartition(",")[2].strip().lower() == "https"

    def _name(self, request: Request, name: str) -> str:
        return _SECURE + name if self.by_https(request) else name

    def _read(self, request: Request, name: str) -> str | None:
        value = request.cookies.get(self._name(request, name), "")
        return value if 0 < len(value) <= _LONGEST and value.isascii() else None

    def _set(
        self, request: Request, response: Response, name: str, value: str, *, path: str, lasts_s: int
    ) -> None:
        response.set_cookie(
            self._name(request, name),
            value,
            max_age=lasts_s,
            path=path,
            secure=self.by_https(request),
            httponly=True,
            samesite="strict",
        )


def is_trusted(request: Request, trusted: tuple[Network, ...]) -> bool:
    """Whether the connection comes from one of these proxies."""
    found = parsed_address(request.client.host) if request.client else None
    return found is not None and any(found in network for network in trusted)
