"""Registering, logging in, staying logged in. All of it happens in the user service; here it is limited."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response, status
from pydantic import Field

from gateway_service.api.access import CurrentAccess
from gateway_service.api.client_address import client_address
from gateway_service.api.forwarding import HASHING_TIMEOUT_S, forward
from gateway_service.api.password_login import log_in_by_password
from shared.clients.peer import PeerUnavailable
from shared.contracts.http.auth import (
    Credentials,
    JsonWebKeySet,
    RefreshRequest,
    Registration,
    TokenAnswer,
)
from shared.contracts.http.base import StrictModel
from shared.contracts.http.users import User
from shared.web.openapi import problem_responses
from shared.web.problems import unavailable

TOKEN_PATH = "/auth/token"
_NOT_STORED = {"Cache-Control": "no-store"}  # RFC 6749, section 5.1

router = APIRouter(prefix="/auth", tags=["access"])
well_known_router = APIRouter(tags=["access"])


class TokenForm(StrictModel):
    """The password grant of OAuth 2 (RFC 6749, section 4.3.2), as /docs sends it."""

    grant_type: Literal["password"] = "password"
    username: str = Field(
        max_length=320, description="The email of the account.", examples=["ann@example.com"]
    )
    password: str = Field(
        max_length=1024,
        json_schema_extra={"format": "password"},
        examples=["correct horse battery staple"],
    )
    scope: str = Field(default="", max_length=1024, description="Ignored: the role decides.")
    client_id: str | None = Field(default=None, max_length=255, description="Ignored.")
    client_secret: str | None = Field(default=None, max_length=255, description="Ignored.")


@router.post(
    "/register",
    status_code=status.HTTP_201_CREATED,
    response_model=User,
    summary="Make an account",
    responses=problem_responses(409, 429, 503),
)
async def register(registration: Registration, request: Request, access: CurrentAccess) -> Response:
    """With the role `user`. Limited per client address. A recipient that has the same email stays somebody
    else until the address is verified."""
    allowance = await access.limits.spend(
        access.limits.register, client_address(request, access.trusted_proxies)
    )
    allowance.require()
    answer = await forward(
        access.logins,
        "POST",
        "/internal/v1/auth/register",
        body=registration,
        location="/api/v1/users",
        timeout_s=HASHING_TIMEOUT_S,
    )
    answer.headers.update(allowance.headers)
    return answer


@router.post(
    "/token",
    response_model=TokenAnswer,
    summary="Log in",
    responses=problem_responses(401, 429, 503),
)
async def log_in(form: Annotated[TokenForm, Form()], request: Request, access: CurrentAccess) -> Response:
    """An access token for 24 hours, and a refresh token for the next. Limited per client address, and for
    failures per address and account."""
    credentials = Credentials(email=form.username, password=form.password)
    return await log_in_by_password(access, request, credentials)


@router.post(
    "/refresh",
    response_model=TokenAnswer,
    summary="Stay logged in",
    responses=problem_responses(401, 503),
)
async def refresh(request: RefreshRequest, access: CurrentAccess) -> Response:
    """A new pair for a refresh token, which is good once: using it a second time ends every token that came
    of the same login."""
    answer = await forward(access.logins, "POST", "/internal/v1/auth/refresh", body=request)
    answer.headers.update(_NOT_STORED)
    return answer


@router.post(
    "/logout",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    summary="Log out",
    responses=problem_responses(503),
)
async def log_out(request: RefreshRequest, access: CurrentAccess) -> Response:
    """Ends every refresh token of the login. Access tokens run out by themselves."""
    return await forward(access.logins, "POST", "/internal/v1/auth/logout", body=request)


@well_known_router.get(
    "/.well-known/jwks.json",
    response_model=JsonWebKeySet,
    response_model_exclude_none=True,
    summary="The public keys of access tokens",
    responses=problem_responses(503),
)
async def read_key_set(access: CurrentAccess, response: Response) -> JsonWebKeySet:
    """To check an access token without asking anybody (RFC 7517)."""
    response.headers["Cache-Control"] = "public, max-age=300"
    try:
        return await access.access_tokens.key_set()
    except PeerUnavailable as error:
        raise unavailable("The keys are not known just now. Ask again.") from error
