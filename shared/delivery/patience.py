"""Asking the ledger until it answers: while its database is away, messages wait in hand and in queues."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from shared.database.errors import DatabaseError

log = structlog.get_logger()
ResultT = TypeVar("ResultT")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0


async def patiently(ask: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """The answer, whenever it comes; what is asked must bear being asked twice."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await ask()
        except DatabaseError:
            log.warning("ledger.away", pause_s=pause_s)
        await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
