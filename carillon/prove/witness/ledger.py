"""The verdict, as a process: `python -m carillon.prove.witness.ledger PLAN`.

It waits for the providers to come to rest, asks the API where everything stands until everything is at its
end or has had its time, waits for rest once more, and holds one against the other. It writes the verdict
and ends with 0 whatever that says; with another code where it could not give one.
"""

import asyncio
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec

from carillon.prove.witness.accounts import judge, suspects
from carillon.prove.witness.history import History, history
from carillon.prove.witness.journal import read_journal
from carillon.prove.witness.ledger_plan import LedgerPlan
from carillon.prove.witness.public_api import PatienceIsOver, PublicApi, api_client
from carillon.prove.witness.reading import Reading
from carillon.prove.witness.verdict import Verdict

_LOOK_EVERY_S = 0.1


async def settle_accounts(plan: LedgerPlan, client: httpx.AsyncClient) -> Verdict:
    """Takes up to `patience_s`, and twice `settle_s`; `client` has the API's address and the credentials.
    Raises ApiRefuses, OSError and ValueError."""
    started = time.monotonic()
    until = started + plan.patience_s
    providers = [Path(each) for each in plan.providers]
    # Most of what is under way comes to its end meanwhile, without a question asked.
    await rest(providers, quiet_s=plan.settle_s, until=min(until, started + plan.stuck_after_s))
    told = read(plan)
    reading = Reading(PublicApi(client, until=until), told, requests_per_s=plan.requests_per_s)
    began = datetime.now(UTC)
    with suppress(PatienceIsOver):
        await reading.look_through()
        await reading.follow(stuck_after_s=plan.stuck_after_s)
    settled = await rest(
        providers, quiet_s=plan.settle_s, until=max(until, time.monotonic() + 2 * plan.settle_s)
    )
    told = read(plan)
    # What looks wrong may be old news by now: what the API says of it is asked for once more.
    with suppress(PatienceIsOver):
        if (
            reading.found.read_whole
            and judge(told, reading.found, settled=settled, stuck_after_s=plan.stuck_after_s).in_doubt_nought
        ):
            await reading.look_for_late_comers(since=began)
            await reading.follow(stuck_after_s=plan.stuck_after_s)
        await reading.ask_again(suspects(told, reading.found))
    return judge(read(plan), reading.found, settled=settled, stuck_after_s=plan.stuck_after_s)


def read(plan: LedgerPlan) -> History:
    """The journals, as they are now. Raises OSError and ValueError."""
    return history(
        clients=[read_journal(Path(each)) for each in plan.clients],
        providers=[read_journal(Path(each)) for each in plan.providers],
        faults=[read_journal(Path(each)) for each in plan.faults],
        only_marks_prefix=plan.only_marks_prefix,
    )


async def rest(journals: list[Path], *, quiet_s: float, until: float) -> bool:
    """Wait until nothing was added to them for `quiet_s`. Whether that came by `until`."""
    sizes = _sizes(journals)
    still_since = time.monotonic()
    while time.monotonic() - still_since < quiet_s:
        if time.monotonic() >= until:
            return False
        await asyncio.sleep(min(_LOOK_EVERY_S, quiet_s))
        now = _sizes(journals)
        if now != sizes:
            sizes, still_since = now, time.monotonic()
    return True


def _sizes(journals: list[Path]) -> list[int]:
    return [each.stat().st_size for each in journals]


async def _run(plan: LedgerPlan) -> Verdict:
    async with api_client(plan.url, authorization=plan.authorization) as client:
        return await settle_accounts(plan, client)


def main() -> None:
    """Read the plan, write the verdict."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=LedgerPlan)
    verdict = asyncio.run(_run(plan))
    Path(plan.verdict).write_bytes(msgspec.json.format(msgspec.json.encode(verdict)))


if __name__ == "__main__":
    main()
