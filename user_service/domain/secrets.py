"""Secrets that are shown once and kept as their SHA-256: API keys and refresh tokens.

They hold 256 random bits, so a fast digest without a salt is as good as a slow one (as GitHub and Stripe
keep theirs), and a key can be looked up by it.
"""

import secrets
from dataclasses import dataclass
from hashlib import sha256

_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Secret:
    """`text` goes to its owner and nowhere else; `hint` is the end of it."""

    text: str
    digest: bytes
    hint: str


def new_secret(prefix: str) -> Secret:
    """A secret that begins with `prefix`, so that people and scanners see what it is."""
    text = f"{prefix}_{secrets.token_urlsafe(_BYTES)}"
    return Secret(text=text, digest=digest(text), hint=text[-4:])


def digest(text: str) -> bytes:
    """What is kept of a secret."""
    return sha256(text.encode()).digest()
