"""Access tokens: JWTs (RFC 9068) signed with Ed25519 (RFC 8037) or P-256, and the public keys to check them.

Services that check tokens hold public keys only, so none but this one can make them.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from shared.contracts.http.auth import (
    ROLE_SCOPES,
    TOKEN_AUDIENCE,
    TOKEN_ISSUER,
    TOKEN_TYPE,
    JsonWebKey,
    JsonWebKeySet,
    Role,
)
from shared.process.clock import Clock
from shared.process.identifiers import uuid7

_PEM = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey


class UnusableSigningKey(Exception):
    """The key file cannot be read, or holds no Ed25519 or P-256 private key in PEM."""


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """A private key with its public half; the key's id is its thumbprint (RFC 7638)."""

    private: _PrivateKey
    public: JsonWebKey


def read_signing_keys(path: Path) -> tuple[SigningKey, ...]:
    """Every key in a PEM file, at least one: the first signs, the others are still good to check with, so
    that a new key can be put in front of an old one. Raises UnusableSigningKey."""
    try:
        content = path.read_bytes()
        keys = tuple(signing_key(load_pem_private_key(pem, password=None)) for pem in _PEM.findall(content))
    except (OSError, ValueError, TypeError) as error:
        raise UnusableSigningKey(f"the signing key file {path} cannot be read") from error
    if not keys:
        raise UnusableSigningKey(f"the signing key file {path} holds no private key in PEM")
    return keys


def new_signing_key() -> SigningKey:
    """One that lives as long as the process: for development and tests."""
    return signing_key(Ed25519PrivateKey.generate())


def signing_key(private: object) -> SigningKey:
    """With its public half. Raises UnusableSigningKey for another kind of key."""
    if isinstance(private, Ed25519PrivateKey):
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
        return SigningKey(private=private, public=_public("EdDSA", members))
    if isinstance(private, EllipticCurvePrivateKey) and isinstance(private.curve, SECP256R1):
        point = private.public_key().public_numbers()
        members = {
            "crv": "P-256",
            "kty": "EC",
            "x": _base64url(point.x.to_bytes(32, "big")),
            "y": _base64url(point.y.to_bytes(32, "big")),
        }
        return SigningKey(private=private, public=_public("ES256", members))
    raise UnusableSigningKey("a signing key is an Ed25519 or a P-256 private key")


class AccessTokens:
    """Makes access tokens that are good for `ttl_s` seconds."""

    def __init__(self, keys: Sequence[SigningKey], *, clock: Clock, ttl_s: int) -> None:
        self._key = keys[0]
        self._clock = clock
        self.ttl_s = ttl_s
        self.key_set = JsonWebKeySet(keys=tuple(key.public for key in keys))

    def issue(self, user_id: UUID, role: Role) -> str:
        """A token for this account, with the scopes of its role."""
        now = self._clock.now()
        claims = {
            "iss": TOKEN_ISSUER,
            "aud": TOKEN_AUDIENCE,
            "sub": str(user_id),
            "role": role.value,
            "scopes": sorted(ROLE_SCOPES[role]),
            "jti": str(uuid7()),
            "iat": now,
            "exp": now + timedelta(seconds=self.ttl_s),
        }
        return jwt.encode(
            claims,
            self._key.private,
            algorithm=self._key.public.alg,
            headers={"kid": self._key.public.kid, "typ": TOKEN_TYPE},
        )


def _public(algorithm: Literal["EdDSA", "ES256"], members: dict[str, str]) -> JsonWebKey:
    # RFC 7638: the required members alone, in lexical order, without white space.
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True).encode()
    kid = _base64url(hashlib.sha256(canonical).digest())
    return JsonWebKey.model_validate({**members, "kid": kid, "alg": algorithm})


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
