"""Settling what is `unknown`: an operator says that it was sent, or has it sent once more.

`resend` is refused where `expires_at` has passed: the new run would end as `expired`, which says that
nothing was sent, of something that may well have been.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

import structlog

from gateway_service.domain.access import Principal
from gateway_service.domain.counting import RESOLVED
from gateway_service.domain.refusals import NotFound, NotUnknown, TimeIsOver
from gateway_service.storage.reading import Viewer, find_notification
from gateway_service.storage.resolving import (
    UnknownSelection,
    count_unknown,
    lock_doubtful,
    lock_unknown,
    send_again,
    settle_as_sent,
)
from shared.contracts.http.notification_answers import NotificationDetail, NotificationStatus
from shared.contracts.http.resolutions import MOST_AT_ONCE, BulkResolved, BulkResolveRequest, Resolution
from shared.database.engine import Database
from shared.process.clock import Clock

log = structlog.get_logger()

CHUNK = 500
"""Notifications settled in one transaction: reports of the same ones wait for it."""
_ABSENT = "There is no such notification."
_EFFECTS: dict[Resolution, Callable[..., Awaitable[None]]] = {
    Resolution.SENT: settle_as_sent,
    Resolution.RESEND: send_again,
}


class Resolving:
    """Whoever comes here has the scope failed:write. An account settles anything, an API key what its owner
    sent."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def one(self, identifier: UUID, resolution: Resolution, principal: Principal) -> NotificationDetail:
        """As it stands afterwards. Raises NotFound, NotUnknown, TimeIsOver, DatabaseUnavailable."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            found = await lock_doubtful(connection, identifier, owner=_owner(principal))
            if found is None:
                raise NotFound(_ABSENT)
            if found.status is not NotificationStatus.UNKNOWN:
                raise NotUnknown(f"Only what is unknown can be settled; this is {found.status.value}.")
            over = found.expires_at is not None and found.expires_at <= now
            if over and resolution is Resolution.RESEND:
                raise TimeIsOver("It was not to be sent after its expires_at, which has passed.")
            await _EFFECTS[resolution](connection, [identifier], by=principal.name, at=now)
        _tell([identifier], resolution, principal)
        async with self._database.session() as session:
            detail = await find_notification(session, identifier, Viewer(owner=None, user_id=None))
        if detail is None:
            raise NotFound(_ABSENT)
        return detail

    async def many(self, request: BulkResolveRequest, principal: Principal) -> BulkResolved:
        """In transactions of `CHUNK`, the oldest first; what was settled before an error stays so, and the
        same call goes on with the rest. Raises DatabaseUnavailable."""
        now = self._clock.now()
        everything = UnknownSelection(filter=request.filter, owner=_owner(principal), not_expired_at=None)
        resends = request.outcome is Resolution.RESEND
        selection = replace(everything, not_expired_at=now) if resends else everything
        resolved, after = 0, UUID(int=0)
        while resolved < request.limit:
            size = min(CHUNK, request.limit - resolved)
            async with self._database.transaction() as connection:
                ids = await lock_unknown(connection, selection, after=after, limit=size)
                if ids:
                    await _EFFECTS[request.outcome](connection, ids, by=principal.name, at=now)
            _tell(ids, request.outcome, principal)
            resolved += len(ids)
            if len(ids) < size:
                break
            after = ids[-1]
        async with self._database.connection() as connection:
            remaining = await count_unknown(connection, selection, most=MOST_AT_ONCE)
            left = await count_unknown(connection, everything, most=MOST_AT_ONCE) if resends else remaining
        return BulkResolved(
            outcome=request.outcome, resolved=resolved, remaining=remaining, expired=max(0, left - remaining)
        )


def _owner(principal: Principal) -> UUID | None:
    return principal.owner if principal.user_id is None else None


def _tell(ids: list[UUID], resolution: Resolution, principal: Principal) -> None:
    RESOLVED.labels(resolution.value).inc(len(ids))
    for identifier in ids:
        log.info(
            "notification.resolved",
            notification_id=str(identifier),
            outcome=resolution.value,
            by=principal.name,
        )
