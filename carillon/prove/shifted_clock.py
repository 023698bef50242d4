"""A process whose clock is wrong.

Linux has no namespace for the time of day, so it is Python's own clock that is moved, in the process that is
to be wrong: `time` and `datetime` by time-machine, which replaces their C functions, and the identifiers made
by a library that asks the kernel itself. What counts seconds from somewhere (`time.monotonic`) goes on as it
was.
"""

import time
import uuid

import time_machine
import uuid_utils
from uuid_utils import compat


def shift(offset_s: float) -> None:
    """From now on, for as long as this process lives."""
    time_machine.travel(time.time() + offset_s, tick=True).start()
    compat.uuid7 = _uuid7


def _uuid7(*, nanoseconds: int | None = None) -> uuid.UUID:
    return uuid.UUID(int=uuid_utils.uuid7(nanoseconds=nanoseconds or time.time_ns()).int)
