"""Idempotency keys: where they are read from, and what makes two requests the same."""

import hashlib
import json

import msgspec

from gateway_service.domain.refusals import invalid
from gateway_service.storage.acceptance import KeyClaim
from shared.contracts.http.notifications import KEY_PATTERN, NotificationRequest

_SINGLE = b"notification\x00"
_BATCH = b"batch\x00"


def read_key(header: str | None, *, field: str | None) -> str | None:
    """The key of a request: the header Idempotency-Key, quoted (as the IETF draft has it) or bare, or the
    body's field. Raises Invalid where it is none, or where the two differ."""
    if header is None:
        return field
    key = header.strip()
    if len(key) >= 2 and key.startswith('"') and key.endswith('"'):
        key = key[1:-1]
    # A quote that is left over belongs to a text that is not closed, or closed too early.
    if KEY_PATTERN.fullmatch(key) is None or '"' in key:
        raise invalid("Idempotency-Key", "A key is 1 to 255 visible ASCII characters, all in quotes or none")
    if field is not None and field != key:
        raise invalid("idempotency_key", "The header Idempotency-Key says otherwise")
    return key


def claim_for(key: str | None, request: NotificationRequest) -> KeyClaim | None:
    """The claim of a single request: the same for the same wishes, however they are spelt."""
    if key is None:
        return None
    wishes = request.model_dump(mode="json", exclude_defaults=True, exclude={"idempotency_key"})
    return KeyClaim(key=key, fingerprint=_digest(_SINGLE, msgspec.json.encode(wishes, order="sorted")))


def claim_for_batch(key: str | None, entries: list[object]) -> KeyClaim | None:
    """The claim of a batch: of its entries as they came, since some of them may be broken."""
    if key is None:
        return None
    # The standard library writes what msgspec refuses, such as a lone surrogate in a broken entry.
    return KeyClaim(key=key, fingerprint=_digest(_BATCH, json.dumps(entries, sort_keys=True).encode()))


def _digest(purpose: bytes, wishes: bytes) -> bytes:
    return hashlib.sha256(purpose + wishes).digest()
