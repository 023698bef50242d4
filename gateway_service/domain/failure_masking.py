"""A failed message for people, with personal data or without. Pure."""

import base64
import hashlib
import re
from collections.abc import Iterator

from pydantic import JsonValue

from shared.contracts.delivery import DeliveryRequested, InlineMessage, TemplateMessage
from shared.contracts.http.failures import FailedMessage, RawMessage

MASK = "•••"
_PLACE = re.compile(r'^\s*(?:[|+]\s*)?File "[\w./<>-]+", line \d+, in [\w<>]+$')
_HEADING = re.compile(r"^\s*(?:[|+-]\s*)*(?:Exception Group )?Traceback \(most recent call last\):$")
_KIND = re.compile(
    r"^(\s*(?:[|+-]\s*)*[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Group|Warning))(?::.*)?$"
)


def message_of(request: DeliveryRequested, *, personal: bool) -> FailedMessage:
    """`personal`: whether whoever looks may see personal data. Without them an address keeps its domain,
    which tells whose server it was, and variables their names."""
    template = request.message if isinstance(request.message, TemplateMessage) else None
    words = request.message if isinstance(request.message, InlineMessage) else None
    variables: dict[str, JsonValue] | None = None
    if template is not None:
        variables = template.variables if personal else dict.fromkeys(template.variables, MASK)
    return FailedMessage(
        user_id=request.user_id,
        address=request.address if personal else _masked_address(request.address),
        template_code=None if template is None else template.code,
        template_version=None if template is None else template.version,
        language=None if template is None else template.language,
        variables=variables,
        subject=_word(None if words is None else words.subject, personal=personal),
        body=_word(None if words is None else words.body, personal=personal),
        category=request.category,
        priority=request.priority,
        lane=request.lane.value,
        test=request.test,
        correlation_id=request.correlation_id,
        accepted_at=request.created_at,
        expires_at=request.expires_at,
        masked=not personal,
    )


def raw_of(raw: bytes, *, personal: bool) -> RawMessage:
    """Bytes that nobody could read: they may hold anything."""
    return RawMessage(
        size=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
        base64=base64.b64encode(raw).decode() if personal else None,
    )


def stack_of(stack: str | None, *, personal: bool) -> str | None:
    """Without personal data: files, lines and the kinds of exceptions, but not what they say, nor any line of
    source, since either may quote a value."""
    if stack is None or personal:
        return stack
    return "\n".join(_places(stack))


def _places(stack: str) -> Iterator[str]:
    for line in stack.splitlines():
        if _PLACE.match(line) or _HEADING.match(line):
            yield line
        elif (kind := _KIND.match(line)) is not None:
            yield kind[1]


def _masked_address(address: str | None) -> str | None:
    if address is None:
        return None
    _, at, domain = address.rpartition("@")
    return f"{MASK}@{domain}" if at else MASK


def _word(text: str | None, *, personal: bool) -> str | None:
    return text if text is None or personal else MASK
