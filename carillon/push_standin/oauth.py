"""Google's token endpoint for service accounts: the JWT bearer grant (RFC 7523)."""

import secrets
import time
from collections.abc import Callable
from urllib.parse import parse_qs

import jwt
import msgspec
from fastapi import APIRouter, Request, Response

from carillon.push_standin.service_account import ServiceAccount

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = {
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
}
LIFETIME_S = 3599
_MOST_TOKENS = 1000


class AccessTokens:
    """The bearers given out and not yet expired; those of a former process are not known."""

    def __init__(self, *, time_s: Callable[[], float] = time.time) -> None:
        self._time_s = time_s
        self._expires_at: dict[str, float] = {}

    def issue(self) -> str:
        """A new one, good for `LIFETIME_S`."""
        now = self._time_s()
        self._expires_at = {token: end for token, end in self._expires_at.items() if end > now}
        while len(self._expires_at) >= _MOST_TOKENS:
            self._expires_at.pop(next(iter(self._expires_at)))
        token = f"ya29.{secrets.token_urlsafe(48)}"
        self._expires_at[token] = now + LIFETIME_S
        return token

    def good(self, authorization: str) -> bool:
        """Whether the value of an Authorization header holds one."""
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self._expires_at.get(token, 0) > self._time_s()


def token_route(account: ServiceAccount, tokens: AccessTokens) -> APIRouter:
    """`POST /token`."""
    router = APIRouter()

    @router.post("/token")
    async def token(request: Request) -> Response:
        """An access token for an assertion signed with the service account's key."""
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        if form.get("grant_type") != [GRANT]:
            return _refusal("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type')}")
        problem = _problem(form.get("assertion", [""])[0], account)
        if problem is not None:
            return _refusal(*problem)
        answer = {"access_token": tokens.issue(), "expires_in": LIFETIME_S, "token_type": "Bearer"}
        return Response(msgspec.json.encode(answer), media_type="application/json")

    return router


def _problem(assertion: str, account: ServiceAccount) -> tuple[str, str] | None:
    try:
        claims = jwt.decode(
            assertion,
            account.public_key_pem,
            algorithms=["RS256"],
            audience=account.token_uri,
            issuer=account.client_email,
            options={"require": ["iss", "aud", "exp", "iat"]},
            leeway=10,
        )
    except jwt.InvalidSignatureError:
        return "invalid_grant", "Invalid JWT Signature."
    except jwt.InvalidTokenError as error:
        return "invalid_grant", f"Invalid JWT: {error}"
    if claims["exp"] - claims["iat"] > 3600:
        return "invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes)."
    if not SCOPES & set(str(claims.get("scope", "")).split()):
        return "invalid_scope", "Invalid OAuth scope or ID token audience provided."
    return None


def _refusal(error: str, description: str) -> Response:
    return Response(
        msgspec.json.encode({"error": error, "error_description": description}),
        status_code=400,
        media_type="application/json",
    )
