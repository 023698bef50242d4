"""What a provider offers where nobody knows whether it took a message."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto


class Finding(Enum):
    """What a provider says of a message when it is asked."""

    TAKEN = auto()
    NOT_TAKEN = auto()
    NO_ANSWER = auto()
    """It does not answer, or cannot tell yet."""


@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """Which message is asked about. `message_id` is what the provider was called with, `called_at` when."""

    message_id: str
    called_at: datetime


@dataclass(frozen=True, kw_only=True)
class Recourse:
    """`same_key`: it takes `ProviderCall.message_id` as an idempotency key, and for so long after the first
    call with it the same call again has one effect; None where it takes none. `ask`: it can be asked whether
    it took a message; within `ASK_TIMEOUT_S`, raises nothing. `calls_back`: it tells by a callback, within a
    minute as a rule, what became of a message."""

    same_key: timedelta | None = None
    ask: Callable[[Inquiry], Awaitable[Finding]] | None = None
    calls_back: bool = False


NO_RECOURSE = Recourse()
"""A provider of this kind can only be called again, at the risk of a second copy (FCM, most mail servers)."""
ASK_TIMEOUT_S = 10.0
