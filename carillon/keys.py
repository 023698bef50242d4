"""The secrets of an installation, made at its first start."""

import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carillon.home import Home
from carillon.plan import SecretFiles
from carillon.push_standin.service_account import make_private_key, service_account_json

_ADMIN_EMAIL = "admin@example.com"
_PASSWORD_WORDS = 4
_WORD_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


def secret_files(home: Home, *, push_standin_url: str) -> SecretFiles:
    """What the services are given. The push stand-in's account names its address, which may have changed."""
    home.secret("token_signing_key.pem", make_signing_key)
    account = service_account_json(
        private_key=home.secret("fcm_private_key.pem", make_private_key), base_url=push_standin_url
    )
    return SecretFiles(
        service_secret=home.secret("service_secret"),
        token_signing_key=home.secret_path("token_signing_key.pem"),
        fcm_credentials=home.write_secret("fcm_credentials.json", account),
    )


@dataclass(frozen=True, kw_only=True)
class AdminLogin:
    """What the administrator of this installation logs in with."""

    email: str
    password: str


def admin_login(home: Home) -> AdminLogin:
    """The one that is kept, made at the first start. The password has about 120 bits, is easy to copy and
    has no colon."""
    return AdminLogin(
        email=home.secret("admin_email", lambda: _ADMIN_EMAIL),
        password=home.secret("admin_password", make_password),
    )


def renew_admin_login(home: Home) -> AdminLogin:
    """Another address and password, kept in place of the former."""
    local, _, domain = _ADMIN_EMAIL.partition("@")
    # The address first: nobody has an account for it, so a stop in between leaves a login that can be made.
    home.write_secret("admin_email", f"{local}-{secrets.token_hex(4)}@{domain}")
    home.write_secret("admin_password", make_password())
    return admin_login(home)


def make_password() -> str:
    """A new password, in groups of letters."""
    return "-".join("".join(secrets.choice(_WORD_LETTERS) for _ in range(6)) for _ in range(_PASSWORD_WORDS))


def make_signing_key() -> str:
    """A new Ed25519 key in PEM, for access tokens."""
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )
