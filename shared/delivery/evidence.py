"""What is kept of an outcome, in the form in which the ledger keeps it."""

from collections.abc import Sequence

from shared.contracts.delivery import Attempt, Problem
from shared.delivery.ledger_rows import TargetKey
from shared.delivery.outcomes import Accepted, Outcome

LONGEST_ID = 500


def id_of(outcome: Outcome) -> str | None:
    """What the provider calls the message; bounded, and as PostgreSQL stores it."""
    if not isinstance(outcome, Accepted) or outcome.provider_message_id is None:
        return None
    return _storable(outcome.provider_message_id)[:LONGEST_ID]


def message_id_of(key: TargetKey, *, targets: int) -> str:
    """What a provider is called with: the same for every call of a target within a run. `targets`: how many
    the run has."""
    run = f"{key.notification_id}.{key.run}"
    return run if targets == 1 else f"{run}.{key.target}"


def storable(problem: Problem) -> Problem:
    """As PostgreSQL stores it: without NUL and halves of surrogate pairs."""
    message = _storable(problem.message)
    return problem if message == problem.message else Problem(kind=problem.kind, message=message)


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def goes_on_throttling(entry: Attempt, earlier: Sequence[Attempt]) -> bool:
    """Hours of the same 429 are one line of the history."""
    if entry.outcome != "throttled" or not earlier:
        return False
    return (earlier[-1].outcome, earlier[-1].provider) == (entry.outcome, entry.provider)
