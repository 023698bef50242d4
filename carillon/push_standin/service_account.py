"""The service-account file that Google gives to who may send, and what the stand-in reads from it."""

import json
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PROJECT = "carillon-local"


@dataclass(frozen=True, kw_only=True)
class ServiceAccount:
    """The half of a service account that Google keeps."""

    project_id: str
    client_email: str
    token_uri: str
    public_key_pem: bytes


def make_private_key() -> str:
    """A new RSA key in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def service_account_json(*, private_key: str, base_url: str) -> str:
    """A service account of a stand-in that answers at `base_url`, as the console of Firebase gives it out."""
    return json.dumps(
        {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "local",
            "private_key": private_key,
            "client_email": f"carillon@{PROJECT}.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"{base_url}/token",
        },
        indent=2,
    )


def read_service_account(text: str) -> ServiceAccount:
    """Raises KeyError or ValueError where `text` is no service account."""
    document = json.loads(text)
    key = serialization.load_pem_private_key(document["private_key"].encode(), password=None)
    return ServiceAccount(
        project_id=document["project_id"],
        client_email=document["client_email"],
        token_uri=document["token_uri"],
        public_key_pem=key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )
