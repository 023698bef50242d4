"""Ends a process whose event loop stands still: nobody else would notice what hangs in one message.

The broker gives out again what a dead process had in hand, and counts it; a process that hangs would hold it
for ever. `faulthandler`'s own thread is used, since it needs no interpreter lock: a regular expression or an
extension that never returns holds that. It writes the stacks (functions and lines, no values) to stderr and
exits with status 1.
"""

import asyncio
import faulthandler

_LOOKS_IN_TIME = 4


async def watch(limit_s: float) -> None:
    """For ever; ends the process once the loop has not come round for `limit_s` seconds, of which those that
    the whole process was stopped count, too. Cancelled, it watches no more."""
    try:
        while True:
            faulthandler.dump_traceback_later(limit_s, exit=True, file=2)
            await asyncio.sleep(limit_s / _LOOKS_IN_TIME)
    finally:
        faulthandler.cancel_dump_traceback_later()
