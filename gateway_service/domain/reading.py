"""Who sees which notifications, and who may cancel them."""

from uuid import UUID

from gateway_service.domain.access import Principal
from gateway_service.domain.refusals import NotAllowed, NotCancellable, NotFound
from gateway_service.storage.cancelling import Cancelling, cancel
from gateway_service.storage.reading import Viewer, find_notification, list_notifications
from shared.contracts.http.auth import Scope
from shared.contracts.http.base import Page, page_of
from shared.contracts.http.notification_answers import NotificationDetail, NotificationItem, NotificationQuery
from shared.database.engine import Database
from shared.process.clock import Clock

_ABSENT = "There is no such notification."


def viewer_of(principal: Principal) -> Viewer:
    """An API key that may read sees what its owner sent; an account that may read sees all; a person sees
    what they sent and what is addressed to them. Raises NotAllowed."""
    if principal.user_id is None:
        if not principal.may(Scope.NOTIFICATIONS_READ):
            raise NotAllowed(f"This needs the scope {Scope.NOTIFICATIONS_READ.value}.")
        return Viewer(owner=principal.owner, user_id=None)
    if principal.may(Scope.NOTIFICATIONS_READ):
        return Viewer(owner=None, user_id=None)
    return Viewer(owner=principal.owner, user_id=principal.user_id)


class Reading:
    """Notifications as their senders and recipients see them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def one(self, identifier: UUID, principal: Principal) -> NotificationDetail:
        """Raises NotFound, NotAllowed, DatabaseUnavailable."""
        async with self._database.session() as session:
            found = await find_notification(session, identifier, viewer_of(principal))
        if found is None:
            raise NotFound(_ABSENT)
        return found

    async def page(self, query: NotificationQuery, principal: Principal) -> Page[NotificationItem]:
        """Newest first. Raises NotAllowed, DatabaseUnavailable."""
        async with self._database.session() as session:
            found = await list_notifications(session, query, viewer_of(principal))
        return page_of(Page[NotificationItem], found, limit=query.limit)

    async def cancel(self, identifier: UUID, principal: Principal) -> NotificationDetail:
        """By its sender, or an account that may send anything. Raises NotFound, NotAllowed, NotCancellable
        once it is released, DatabaseUnavailable."""
        may_send = principal.may(Scope.NOTIFICATIONS_SEND)
        if principal.user_id is None and not may_send:
            raise NotAllowed(f"This needs the scope {Scope.NOTIFICATIONS_SEND.value}.")
        everybody = principal.user_id is not None and may_send
        async with self._database.transaction() as connection:
            outcome = await cancel(
                connection,
                identifier,
                owner=None if everybody else principal.owner,
                at=self._clock.now(),
            )
        if outcome is Cancelling.NOT_FOUND:
            raise NotFound(_ABSENT)
        if outcome is Cancelling.TOO_LATE:
            raise NotCancellable("Only what waits for its time can be cancelled; this is released.")
        async with self._database.session() as session:
            found = await find_notification(session, identifier, Viewer(owner=None, user_id=None))
        if found is None:
            raise NotFound(_ABSENT)
        return found
