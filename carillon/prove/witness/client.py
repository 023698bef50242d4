"""The load, as a process: `python -m carillon.prove.witness.client PLAN`. SIGTERM and SIGINT: nothing new.

What was begun is seen through, which takes up to the plan's `give_up_s` and one `timeout_s`. It prints a
ClientSummary as JSON when it ends.
"""

import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from carillon.prove.witness.asking import Asking
from carillon.prove.witness.client_plan import ClientPlan, ClientSummary
from carillon.prove.witness.client_requests import Request, Requests
from carillon.prove.witness.journal import Ended, JournalWriter, Silent

_AFTER_REFUSAL_S = 0.1
"""A closed loop without retries would otherwise do nothing but knock where nobody listens."""


class Load:
    """One plan, carried out once."""

    def __init__(self, plan: ClientPlan, journal: JournalWriter) -> None:
        self._plan, self._journal = plan, journal
        recipients = () if plan.user_ids is None else Path(plan.user_ids).read_text().split()
        self._requests = Requests(plan, recipients=recipients)
        self._left = plan.count
        self._enough = asyncio.Event()
        self._asking = Asking(plan, journal, enough=self._enough)

    def end(self) -> None:
        """Nothing new from now on."""
        self._enough.set()

    async def run(self) -> ClientSummary:
        """Until everything is seen through. Raises OSError where the journal cannot be written."""
        if self._plan.seconds is not None:
            asyncio.get_running_loop().call_later(self._plan.seconds, self.end)
        try:
            if self._plan.rate is None:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(self._plan.connections):
                        tasks.create_task(self._ask_on())
            else:
                await self._ask_in_time(self._plan.rate)
        finally:
            self._asking.close()
        self._journal.write(Ended())
        await self._journal.flush()
        return ClientSummary(
            notifications=self._asking.notifications,
            asks=self._asking.asks,
            skipped=self._asking.skipped,
            answers=dict(self._asking.answers),
            silences=dict(self._asking.silences),
            late_ms=round(self._asking.late_ms, 1),
        )

    async def _ask_on(self) -> None:
        while (request := self._next()) is not None:
            heard = await self._asking.see_through(request, due=None)
            if isinstance(heard, Silent) and heard.why == "refused":
                await asyncio.sleep(_AFTER_REFUSAL_S)

    async def _ask_in_time(self, rate: float) -> None:
        start, number = time.monotonic(), 0
        hands = asyncio.Semaphore(self._plan.most_in_hand)

        async def see_through(request: Request, *, due: float) -> None:
            try:
                await self._asking.see_through(request, due=due)
            finally:
                hands.release()

        async with asyncio.TaskGroup() as tasks:
            while True:
                due = start + number / rate
                await self._wait_until(due)
                await hands.acquire()
                request = self._next()
                if request is None:
                    break
                tasks.create_task(see_through(request, due=due))
                number += 1

    async def _wait_until(self, due: float) -> None:
        wait_s = due - time.monotonic()
        if wait_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._enough.wait()

    def _next(self) -> Request | None:
        if self._enough.is_set() or self._left == 0:
            return None
        request = self._requests.next(most=self._left)
        if self._left is not None:
            self._left -= len(request.wishes)
        return request


async def _run(plan: ClientPlan) -> ClientSummary:
    with JournalWriter(Path(plan.journal)) as journal:
        load = Load(plan, journal)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, load.end)
        return await load.run()


def main() -> None:
    """Read the plan, and carry it out."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ClientPlan)
    print(msgspec.json.encode(uvloop.run(_run(plan))).decode(), flush=True)


if __name__ == "__main__":
    main()
