"""Why a request is not accepted: one tree of exceptions, each answered as the problem that it is."""

from collections.abc import Sequence
from typing import ClassVar

from shared.web.problems import ApiProblem, FieldError


class Refused(ApiProblem):
    """Not accepted, and nothing written. Its kind is what is counted."""

    STATUS: ClassVar[int] = 422
    KIND: ClassVar[str | None] = None
    TITLE: ClassVar[str | None] = None

    def __init__(self, message: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(status=self.STATUS, detail=message, kind=self.KIND, title=self.TITLE, errors=errors)


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


class NotCancellable(Refused):
    """It is not waiting for its time any more."""

    STATUS = 409
    KIND = "not_cancellable"
    TITLE = "Too late to cancel"


class NotFound(Refused):
    """There is no such notification, or it is somebody else's."""

    STATUS = 404


def invalid(field: str, message: str) -> Invalid:
    """A refusal for one field."""
    return Invalid(f"{field}: {message}", errors=[FieldError(field, message)])
