"""What the client is told."""

from typing import Literal

import msgspec


class ClientPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One load on the API at http://host:port. The file holds a secret: mode 0600.

    With `rate` (requests a second, over all connections) the loop is open: each request has its time,
    whatever becomes of those before it. Without, it is closed: each connection asks anew as soon as it has
    its answer, and its retries are done. It ends after `seconds`, or after `count` notifications.

    `channels` and `categories` are shares, of any sum. `batch`: notifications in a request, 1 for single
    POSTs. `template`: a code by channel; a channel without one is sent `content`. Recipients are addresses
    made of the mark, or the ids in the file `user_ids`, one a line. `poison_share`: of marks that hold `bad`.

    `retry`: with `same_key`, what got no answer, or 409, 429, 502, 503 or 504, is asked again with the same
    key, no earlier than Retry-After says but after `longest_pause_s` at most, until `give_up_s` after it
    was first asked; with `none` nothing is asked again. `timeout_s`: for each request.

    `most_in_hand`: so many requests of an open loop wait for a connection or for their retry; beyond it, the
    loop is late.
    """

    port: int
    authorization: str
    journal: str
    seed: int
    marks_prefix: str
    host: str = "127.0.0.1"
    connections: int = 32
    rate: float | None = None
    seconds: float | None = None
    count: int | None = None
    channels: dict[Literal["email", "push"], float] = msgspec.field(default_factory=lambda: {"email": 1.0})
    categories: dict[str, float] = msgspec.field(default_factory=lambda: {"transactional": 1.0})
    batch: int = 1
    template: dict[Literal["email", "push"], str] = {}
    user_ids: str | None = None
    poison_share: float = 0.0
    retry: Literal["same_key", "none"] = "same_key"
    longest_pause_s: float = 5.0
    give_up_s: float = 60.0
    timeout_s: float = 10.0
    most_in_hand: int = 50_000

    def __post_init__(self) -> None:
        """Raises ValueError, which msgspec makes a ValidationError."""
        if self.seconds is None and self.count is None:
            raise ValueError("give `seconds` or `count`: a load has an end")
        if self.connections < 1 or not 1 <= self.batch <= 1000 or self.most_in_hand < 1:
            raise ValueError("`connections` and `most_in_hand` are at least 1, `batch` is 1 to 1000")
        if self.rate is not None and self.rate <= 0:
            raise ValueError("`rate` is more than 0, or null")
        for shares in (self.channels, self.categories):
            if not shares or min(shares.values()) < 0 or sum(shares.values()) <= 0:
                raise ValueError("`channels` and `categories` need shares of which one is more than 0")


class ClientSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the client prints when it ends: `answers` by status, `silences` by cause.

    Of an open loop `late_ms` is how late the latest first ask was, and `skipped` counts the requests that
    were due, and still waited for a connection when it was told to end."""

    notifications: int
    asks: int
    skipped: int
    answers: dict[str, int]
    silences: dict[str, int]
    late_ms: float
