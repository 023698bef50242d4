"""Why a request is not accepted: one tree of exceptions, each answered as the problem that it is."""

import random
from collections.abc import Sequence
from typing import ClassVar

from shared.web.problems import ApiProblem, FieldError


class Refused(ApiProblem):
    """Not accepted, and nothing written. Its kind is what is counted."""

    STATUS: ClassVar[int] = 422
    KIND: ClassVar[str | None] = None
    TITLE: ClassVar[str | None] = None
    RETRY_AFTER_S: ClassVar[tuple[int, int] | None] = None
    """From and to: each is told another time, so that those who came together do not come back together."""

    def __init__(self, message: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(status=self.STATUS, detail=message, kind=self.KIND, title=self.TITLE, errors=errors)
        if self.RETRY_AFTER_S is not None:
            self.headers["Retry-After"] = str(random.randint(*self.RETRY_AFTER_S))


class Invalid(Refused):
    """The request cannot be carried out as it is."""


class NotAllowed(Refused):
    """The caller may not ask for this."""

    STATUS = 403


class KeyReused(Refused):
    """The idempotency key was used for another request."""

    KIND = "idempotency_key_reused"
    TITLE = "The idempotency key was used for another request"


class KeyInProgress(Refused):
    """A request with the same idempotency key is still being worked on."""

    STATUS = 409
    KIND = "idempotency_in_progress"
    TITLE = "A request with this idempotency key is in progress"


class NotNow(Refused):
    """Cannot be decided or stored at the moment; to be asked again."""

    STATUS = 503
    RETRY_AFTER_S = (1, 3)


class BacklogFull(Refused):
    """Too much that was accepted before is still to be sent on the same way."""

    STATUS = 503
    KIND = "backlog_full"
    TITLE = "Too much waits to be sent"
    RETRY_AFTER_S = (20, 60)


class NotCancellable(Refused):
    """It is not waiting for its time any more."""

    STATUS = 409
    KIND = "not_cancellable"
    TITLE = "Too late to cancel"


class NotUnknown(Refused):
    """There is no doubt to settle."""

    STATUS = 409
    KIND = "not_unknown"
    TITLE = "There is no doubt to settle"


class DoubtFirst(Refused):
    """It may have gone out, which somebody has to settle before it is sent again."""

    STATUS = 409
    KIND = "doubt_first"
    TITLE = "There is a doubt to settle first"


class NotOpen(Refused):
    """Somebody has reprocessed or discarded it already."""

    STATUS = 409
    KIND = "not_open"
    TITLE = "This failure is closed"


class StillInProgress(Refused):
    """Other addresses or devices of the same notification are still in work."""

    STATUS = 409
    KIND = "still_in_progress"
    TITLE = "The notification is still in work"


class OthersFailedToo(Refused):
    """A new address would take the place of every device of the notification."""

    STATUS = 409
    KIND = "others_failed_too"
    TITLE = "Other devices of it failed, too"


class NotReprocessable(Refused):
    """There is nothing that could be sent."""

    STATUS = 409
    KIND = "not_reprocessable"
    TITLE = "This cannot be sent again"


class JobIsOver(Refused):
    """The job has ended, or is not in the state that this needs."""

    STATUS = 409
    KIND = "job_is_over"
    TITLE = "The job is not in a state for this"


class TimeIsOver(Refused):
    """It was not to be sent after a time that has come."""

    STATUS = 409
    KIND = "notification_expired"
    TITLE = "Too late to send it again"


class NotFound(Refused):
    """There is no such thing, or it is somebody else's."""

    STATUS = 404


def invalid(field: str, message: str) -> Invalid:
    """A refusal for one field."""
    return Invalid(f"{field}: {message}", errors=[FieldError(field, message)])
