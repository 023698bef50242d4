"""Who looks at a page: the holder of an access token, which lies in a cookie and nowhere else."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, cast

import jwt
from fastapi import Depends, Request

from gateway_service.api.access import AccessControl
from gateway_service.console.cookies import Cookies
from gateway_service.console.crossing import FIELD, HEADER, FormTokens, from_our_page
from gateway_service.domain.access import Principal
from gateway_service.settings import GatewaySettings
from shared.contracts.http.auth import Scope
from shared.web.acquaintances import vouch_for
from shared.web.problems import ApiProblem, forbidden

NEEDED = frozenset({Scope.FAILED_READ, Scope.NOTIFICATIONS_READ})


class LoginNeeded(Exception):
    """Nobody is logged in, or not any more."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """Somebody who is logged in. `form_token` stands in every form shown to them."""

    principal: Principal
    form_token: str
    expires_at: datetime

    @property
    def may_write(self) -> bool:
        """Whether they may send again and discard."""
        return self.principal.may(Scope.FAILED_WRITE)

    @property
    def sees_people(self) -> bool:
        """Whether personal data are shown to them."""
        return self.principal.may(Scope.USERS_READ)

    @property
    def role(self) -> str:
        """What they are, for the page."""
        return self.principal.role.value if self.principal.role is not None else "account"


class Sessions:
    """Reads and checks them; lives on `app.state.console`."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.cookies = Cookies(settings.trusted_proxies)
        self.form_tokens = FormTokens(settings.service_secret.get_secret_value())

    async def find(self, request: Request) -> Session:
        """Whose session it is. Raises LoginNeeded, and a problem: 403 without the scopes that the console
        needs, 503 where the token cannot be checked."""
        token = self.cookies.session(request)
        if token is None:
            raise LoginNeeded
        session = await self.of_token(request, token)
        vouch_for(request.scope, session.principal.owner)
        request.state.session = session
        return session

    async def of_token(self, request: Request, token: str) -> Session:
        """The session of whoever has the access token. Raises as `find` does."""
        access = cast(AccessControl, request.app.state.access)
        try:
            principal = await access.authenticate(f"Bearer {token}")
        except ApiProblem as problem:
            if problem.status == 401:
                raise LoginNeeded from problem
            raise
        # An API key is for programs, and has no business in a browser.
        if principal.user_id is None:
            raise LoginNeeded
        if not principal.scopes >= NEEDED:
            raise forbidden(
                "This account may not look at the console: it is for operators and administrators."
            )
        return Session(
            principal=principal,
            form_token=self.form_tokens.issue(token),
            expires_at=_end_of(token),
        )

    async def check_form(self, request: Request) -> None:
        """That the form was sent from a page made for this session. Raises a 403 problem."""
        await self.check_token(request, self.cookies.session(request))

    async def check_token(self, request: Request, cookie: str | None) -> None:
        """The same for any cookie. Raises a 403 problem."""
        given = request.headers.get(HEADER) or (await request.form()).get(FIELD)
        fits = isinstance(given, str) and cookie is not None and self.form_tokens.fits(given, cookie)
        if not fits or not from_our_page(request):
            raise ApiProblem(
                status=403,
                kind="foreign_form",
                title="This form is out of date",
                detail="The form was not sent from a page of this session. Go back, load the page anew and "
                "send it again. Nothing was done.",
            )


def sessions_of(request: Request) -> Sessions:
    """The app's own."""
    return cast(Sessions, request.app.state.console.sessions)


async def _reader(request: Request) -> Session:
    return await sessions_of(request).find(request)


async def _writer(request: Request) -> Session:
    session = await _reader(request)
    await sessions_of(request).check_form(request)
    if not session.may_write:
        raise forbidden("This needs the scope failed:write.")
    return session


Reader = Annotated[Session, Depends(_reader)]
"""Whoever may look at the page; a dependency."""
Writer = Annotated[Session, Depends(_writer)]
"""Whoever may do what the form asks for; the form was checked to be ours."""


def _end_of(token: str) -> datetime:
    """When an access token that was checked already runs out."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return datetime.fromtimestamp(claims["exp"], UTC)
