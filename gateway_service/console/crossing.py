"""That a form was sent from a page of ours, by whoever it was made for.

Two guards, each of which would do: a token in the form that only the holder of the same cookie was given, and
what the browser itself tells of where the request comes from.
"""

import hashlib
import hmac

from fastapi import Request

from gateway_service.console.paths import parts_of

FIELD = "csrf_token"
HEADER = "X-CSRF-Token"
_PURPOSE = b"carillon console form\x00"


class FormTokens:
    """Tokens for forms, from the services' secret: every gateway makes the same."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)

    def issue(self, cookie: str) -> str:
        """For the forms on pages shown to the holder of `cookie`."""
        bound_to = hashlib.sha256(cookie.encode()).digest()
        return hmac.digest(self._key, bound_to, hashlib.sha256).hex()

    def fits(self, token: str, cookie: str) -> bool:
        """Whether it was issued for this cookie; in constant time."""
        return hmac.compare_digest(token.encode(), self.issue(cookie).encode())


def from_our_page(request: Request) -> bool:
    """By Sec-Fetch-Site, which scripts cannot set; by Origin where a browser sends only that (it sends the
    first to https and localhost alone). True where it sends neither: the token decides then."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    if origin is None:
        return True
    # Behind a proxy that ends TLS the scheme is another than the browser's; the host is the same.
    parts = parts_of(origin)
    return parts is not None and parts.netloc.lower() == request.headers.get("host", "").lower() != ""


def is_from_elsewhere(request: Request) -> bool:
    """Whether a link on another site led here: a browser then leaves a SameSite=Strict cookie at home."""
    return request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}
