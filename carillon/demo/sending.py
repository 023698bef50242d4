"""Sending the letters, one request for each, and waiting until there is nothing left to happen."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from carillon.api import Api
from carillon.api_answers import Refused
from carillon.demo.letters import Letter

_PAGE = "200"
_ENDED = frozenset(
    {"sent", "delivered", "bounced", "failed", "unknown", "suppressed", "expired", "cancelled", "discarded"}
)


class _Accepted(msgspec.Struct, frozen=True):
    id: UUID
    created_at: datetime


class Status(msgspec.Struct, frozen=True):
    """How a notification stands, and why it is not sent."""

    id: UUID
    status: str
    error: str | None

    def __str__(self) -> str:
        return f"{self.status} ({self.error})" if self.error else self.status


class _StatusPage(msgspec.Struct, frozen=True):
    items: tuple[Status, ...]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A letter that Carillon has promised to deliver. `took_s`: from the request to its answer."""

    letter: Letter
    id: UUID
    created_at: datetime
    took_s: float


@dataclass(frozen=True, kw_only=True)
class Turned:
    """A letter that was not accepted, and why."""

    letter: Letter
    reason: str


@dataclass(frozen=True, kw_only=True)
class Posted:
    """What became of all requests. `began_at` and `ended_at` are on `time.time()`'s clock."""

    accepted: Sequence[Accepted]
    turned: Sequence[Turned]
    began_at: float
    ended_at: float


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often arrivals are counted, after how long without a change the statuses are read, and after how
    long nobody waits any more (longer than the retries of a channel take). In seconds."""

    look_every_s: float = 0.25
    calm_s: float = 2.0
    stalled_s: float = 60.0


class Counter(Protocol):
    """Counts what arrives."""

    async def count(self) -> int:
        """How much there is since the demo began, whoever sent it."""


PATIENCE = Patience()


async def post_letters(
    api: Api,
    letters: Sequence[Letter],
    *,
    user_ids: Mapping[str, UUID],
    advance: Callable[[], None],
) -> Posted:
    """Ask for each, over all connections. `advance` is called for each answer."""

    async def post(letter: Letter) -> Accepted | Turned:
        try:
            answer = await api.post(
                "/notifications",
                {
                    "user_id": str(user_ids[letter.person.external_id]),
                    "notification_type": letter.template.channel.value,
                    "template_code": letter.template.code,
                    "variables": letter.variables,
                    "category": letter.template.category,
                    "priority": letter.template.priority,
                    "metadata": {"demo": letter.key},
                },
                key=letter.key,
            )
            made = answer.as_(_Accepted)
        except Refused as refused:
            return Turned(letter=letter, reason=str(refused))
        finally:
            advance()
        return Accepted(letter=letter, id=made.id, created_at=made.created_at, took_s=answer.took_s)

    began_at = time.time()
    results = await asyncio.gather(*(post(letter) for letter in letters))
    return Posted(
        accepted=[each for each in results if isinstance(each, Accepted)],
        turned=[each for each in results if isinstance(each, Turned)],
        began_at=began_at,
        ended_at=time.time(),
    )


async def wait_until_ended(
    api: Api,
    wanted: Set[UUID],
    *,
    since: datetime,
    arrivals: Counter,
    show: Callable[[int], None],
    patience: Patience = PATIENCE,
) -> Mapping[UUID, Status]:
    """How each of `wanted` stands once all have come to an end, or nothing has changed for too long.

    Counting what arrived costs little and is shown all the time; the list of statuses is read only once that
    is all, or has stopped. Raises Refused.
    """
    statuses: Mapping[UUID, Status] = {}
    arrived = ended = 0
    changed_at = looked_at = time.monotonic()
    while True:
        before, now = (arrived, ended), time.monotonic()
        arrived = await arrivals.count()
        is_time = now - looked_at > patience.calm_s or not statuses
        if (arrived >= len(wanted) and is_time) or now - max(changed_at, looked_at) > patience.calm_s:
            statuses = await read_statuses(api, wanted, since=since)
            ended, looked_at = sum(each.status in _ENDED for each in statuses.values()), now
        show(max(min(arrived, len(wanted)), ended))
        if ended >= len(wanted):
            return statuses
        if before != (arrived, ended):
            changed_at = now
        elif now - changed_at > patience.stalled_s:
            return statuses
        await asyncio.sleep(patience.look_every_s)


async def read_statuses(api: Api, wanted: Set[UUID], *, since: datetime) -> Mapping[UUID, Status]:
    """Of those of `wanted` that were made after `since`. Raises Refused."""
    found: dict[UUID, Status] = {}
    query = {"limit": _PAGE, "created_after": since.strftime("%Y-%m-%dT%H:%M:%SZ")}
    while True:
        page = (await api.get("/notifications", query)).as_(_StatusPage)
        found |= {item.id: item for item in page.items if item.id in wanted}
        if page.next_cursor is None or len(found) == len(wanted):
            return found
        query["cursor"] = page.next_cursor
