"""Accounts, tokens, API keys, and what roles and scopes there are."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.contracts.http.base import EmailAddress, Name, Page, StrictModel, bounded

TOKEN_ISSUER = "carillon"
TOKEN_AUDIENCE = "carillon"
TOKEN_ALGORITHMS = ("EdDSA", "ES256")
TOKEN_TYPE = "at+jwt"


class Scope(StrEnum):
    """What a caller may do; API keys and access tokens carry them."""

    NOTIFICATIONS_SEND = "notifications:send"
    NOTIFICATIONS_READ = "notifications:read"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    TEMPLATES_READ = "templates:read"
    TEMPLATES_WRITE = "templates:write"
    FAILED_READ = "failed:read"
    FAILED_WRITE = "failed:write"
    CONFIG_WRITE = "config:write"


class Role(StrEnum):
    """What an account is: `user` has own data and sends to oneself; `operator` puts right what failed."""

    USER = "user"
    OPERATOR = "operator"
    ADMIN = "admin"


ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.USER: frozenset(),
    Role.OPERATOR: frozenset({Scope.NOTIFICATIONS_READ, Scope.FAILED_READ, Scope.FAILED_WRITE}),
    Role.ADMIN: frozenset(Scope),
}
"""The one place that says what a role may do beyond its own data."""

NewPassword = Annotated[
    str, Field(min_length=8, max_length=256, json_schema_extra={"format": "password", "writeOnly": True})
]
"""A password to set: 8 to 256 characters, every one of which counts."""


class Registration(StrictModel):
    """POST /auth/register."""

    name: Name = Field(examples=["Ann"])
    email: EmailAddress
    password: NewPassword = Field(examples=["correct horse battery staple"])


class NewAccount(Registration):
    """POST /internal/v1/accounts: an account with a role, made by the operator of the installation."""

    role: Role = Role.USER


class Credentials(StrictModel):
    """POST /internal/v1/auth/token: the form of POST /auth/token as JSON."""

    email: str = Field(max_length=320)
    password: str = Field(max_length=1024)


class RefreshRequest(StrictModel):
    """POST /auth/refresh and /auth/logout."""

    refresh_token: str = Field(min_length=1, max_length=200, examples=["rt_Jx3…"])


class TokenAnswer(StrictModel):
    """A pair of tokens (RFC 6749, section 5.1); `expires_in` is in seconds."""

    access_token: str = Field(examples=["eyJhbGciOiJFZERTQSJ9…"])
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(examples=[86400])
    refresh_token: str = Field(examples=["rt_Jx3…"])


class JsonWebKey(StrictModel):
    """A public key (RFC 7517; OKP: RFC 8037)."""

    kty: Literal["OKP", "EC"]
    crv: Literal["Ed25519", "P-256"]
    x: str = Field(examples=["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"])
    y: str | None = Field(default=None, description="EC keys only.")
    kid: str = Field(examples=["2030-01"])
    alg: Literal["EdDSA", "ES256"]
    use: Literal["sig"] = "sig"


class JsonWebKeySet(StrictModel):
    """GET /.well-known/jwks.json."""

    keys: tuple[JsonWebKey, ...]


ApiKeyKind = Literal["live", "test"]


class NewApiKey(StrictModel):
    """POST /api-keys. A `test` key goes the whole way and stops short of the provider."""

    name: Name = Field(examples=["order service"])
    kind: ApiKeyKind = "live"
    scopes: Annotated[tuple[Scope, ...], bounded(len(Scope))] = Field(
        min_length=1, max_length=len(Scope), examples=[["notifications:send"]]
    )


class NewOwnedApiKey(NewApiKey):
    """POST /internal/v1/api-keys: the key belongs to the account `owner`."""

    owner: UUID


class ApiKey(StrictModel):
    """An API key without its secret; `hint` is the last four characters of it."""

    id: UUID
    name: str = Field(examples=["order service"])
    kind: ApiKeyKind
    scopes: tuple[Scope, ...]
    hint: str = Field(examples=["x3Qz"])
    created_at: datetime


class ApiKeyWithSecret(ApiKey):
    """The answer to POST /api-keys: the only time that the secret is shown."""

    secret: str = Field(examples=["ck_live_…"])


ApiKeyPage = Page[ApiKey]
