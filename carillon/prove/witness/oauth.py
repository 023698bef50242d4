"""Google's token endpoint for service accounts: the JWT bearer grant (RFC 7523).

Protocol: developers.google.com/identity/protocols/oauth2/service-account, "HTTP/REST".
"""

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from carillon.prove.witness.http_dialogue import Response

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPES = frozenset(
    {
        "https://www.googleapis.com/auth/firebase.messaging",
        "https://www.googleapis.com/auth/cloud-platform",
    }
)
_LIFETIME_S = 3599
_LONGEST_ASSERTION_S = 3600
_MOST_TOKENS = 1000


class _AccountFile(msgspec.Struct, frozen=True, kw_only=True):
    type: str = "service_account"
    project_id: str
    private_key_id: str
    private_key: str
    client_email: str
    client_id: str
    auth_uri: str
    token_uri: str


class _Grant(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: int = _LIFETIME_S
    token_type: str = "Bearer"


class _Refusal(msgspec.Struct, frozen=True):
    error: str
    error_description: str


class ServiceAccount:
    """A new account with a new key, of which only the public half is kept."""

    def __init__(self, *, project: str, url: str) -> None:
        self.project = project
        self.email = f"prove@{project}.iam.gserviceaccount.com"
        self.token_uri = f"{url}/token"
        self._auth_uri = f"{url}/auth"
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public_key = self._key.public_key()

    def write(self, path: Path) -> None:
        """As Firebase's console gives it out, readable by this user only; there is no moment at which `path`
        is half-written."""
        private = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        content = msgspec.json.encode(
            _AccountFile(
                project_id=self.project,
                private_key_id=secrets.token_hex(20),
                private_key=private.decode(),
                client_email=self.email,
                client_id="1",
                auth_uri=self._auth_uri,
                token_uri=self.token_uri,
            )
        )
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(content)
        new.rename(path)


class AccessTokens:
    """Gives out bearers to who holds the account's key, and knows the last 1,000."""

    def __init__(self, account: ServiceAccount, *, time_s: Callable[[], float] = time.time) -> None:
        self._account = account
        self._time_s = time_s
        self._expires_at: dict[str, float] = {}

    def good(self, authorization: str) -> bool:
        """Whether the value of an Authorization header holds one that has not expired."""
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self._expires_at.get(token, 0) > self._time_s()

    def grant(self, body: bytes) -> Response:
        """The answer to `POST /token`."""
        form = parse_qs(body.decode("utf-8", "replace"))
        if form.get("grant_type") != [_GRANT]:
            return _refused("unsupported_grant_type", "Invalid grant_type")
        refusal = self._refusal(form.get("assertion", [""])[0])
        if refusal is not None:
            return refusal
        while len(self._expires_at) >= _MOST_TOKENS:
            del self._expires_at[next(iter(self._expires_at))]
        token = f"ya29.{secrets.token_urlsafe(48)}"
        self._expires_at[token] = self._time_s() + _LIFETIME_S
        return Response(status=200, body=msgspec.json.encode(_Grant(access_token=token)))

    def _refusal(self, assertion: str) -> Response | None:
        try:
            claims = jwt.decode(
                assertion,
                self._account.public_key,
                algorithms=["RS256"],
                audience=self._account.token_uri,
                issuer=self._account.email,
                options={"require": ["iss", "aud", "exp", "iat"]},
                leeway=10,
            )
        except jwt.InvalidSignatureError:
            return _refused("invalid_grant", "Invalid JWT Signature.")
        except jwt.InvalidTokenError as error:
            return _refused("invalid_grant", f"Invalid JWT: {error}")
        if claims["exp"] - claims["iat"] > _LONGEST_ASSERTION_S:
            return _refused("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes).")
        if not _SCOPES & set(str(claims.get("scope", "")).split()):
            return _refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return None


def _refused(error: str, description: str) -> Response:
    return Response(status=400, body=msgspec.json.encode(_Refusal(error, description)))
