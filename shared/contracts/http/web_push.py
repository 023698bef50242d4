"""A browser's `PushSubscription.toJSON()` (W3C Push API), which anybody with an account may send.

The endpoint is an address that Carillon will call, so only what looks like a push service of the Internet is
taken: https, and the name of a host; a number or a name of the own machine or network is none.
"""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field, HttpUrl, StringConstraints, TypeAdapter, UrlConstraints
from pydantic_core import PydanticCustomError, ValidationError

from shared.contracts.http.base import StrictModel

_MAX_INT64 = 2**63 - 1
_PRIVATE_DOMAINS = frozenset(
    {"localhost", "local", "internal", "intranet", "lan", "arpa", "invalid", "onion"}
)
_https = TypeAdapter(Annotated[HttpUrl, UrlConstraints(allowed_schemes=["https"], max_length=2048)])


def _endpoint(value: str) -> str:
    try:
        url = _https.validate_python(value)
    except ValidationError as error:
        raise PydanticCustomError("push_endpoint", "This is no https:// URL") from error
    # The parser has written every spelling of an IPv4 address, such as 0x7f.1, as four numbers.
    host = (url.host or "").rstrip(".").lower()
    _, dot, last = host.rpartition(".")
    if not dot or last in _PRIVATE_DOMAINS or _is_address(host) or url.username or url.password:
        raise PydanticCustomError("push_endpoint", "This is no push service: its host needs a public name")
    return str(url)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


class SubscriptionKeys(StrictModel):
    """The keys of a subscription as they are kept."""

    p256dh: str
    auth: str


class Subscription(StrictModel):
    """A subscription as it is kept, and answered without another check."""

    endpoint: str
    expirationTime: int | None = None  # noqa: N815 - the name in the browser's own object
    keys: SubscriptionKeys


class PushKeys(SubscriptionKeys):
    """The keys of a browser's subscription (RFC 8291), base64url: a point of P-256, uncompressed (65 bytes,
    the first of them 4), and 16 bytes."""

    p256dh: Annotated[str, StringConstraints(pattern=r"^B[A-P][A-Za-z0-9_-]{85}=?$")]
    auth: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}(==)?$")]


class PushSubscription(Subscription):
    """What the browser's `PushSubscription.toJSON()` gives."""

    endpoint: Annotated[
        str,
        Field(
            max_length=2048,
            json_schema_extra={"format": "uri"},
            examples=["https://updates.push.services.mozilla.com/wpush/v2/gAAAAA"],
        ),
        AfterValidator(_endpoint),
    ]
    expirationTime: int | None = Field(  # noqa: N815 - the name in the browser's own object
        default=None, ge=0, le=_MAX_INT64, description="Milliseconds since 1970."
    )
    keys: PushKeys
