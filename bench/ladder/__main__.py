"""`python -m bench.ladder PLAN`: one rung of the ladder that carillon/bench/ladder.py describes."""

import asyncio
import gc
import hashlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import uvloop

from bench.ladder.climber import Climber
from bench.ladder.gateway import Mail
from carillon.bench.ladder import ClimbPlan, ClimbResult, Pace
from carillon.bench.meter import cpu_seconds
from gateway_service.domain.release import release_message
from gateway_service.storage.acceptance import KeyClaim
from gateway_service.storage.notifications import Notification
from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import DeliveryRequested
from shared.contracts.http.notification_answers import NotificationStatus
from shared.process.identifiers import uuid7
from shared.process.metrics import exposition

_WARM_UP = 100
_AFTERWARDS_S = 1.5  # PostgreSQL's own processes write on for a moment


async def climb(plan: ClimbPlan) -> ClimbResult:
    """All mails of the plan, after some that are not counted, for connections and templates."""
    owner = uuid4()
    first = [_mail(number, owner=owner) for number in range(_WARM_UP)]
    mails = [_mail(number, owner=owner) for number in range(_WARM_UP, _WARM_UP + plan.count)]
    gc.collect()
    gc.freeze()  # what waits to be sent stands in a broker elsewhere, and costs no collection
    climber = Climber(plan)
    async with AsyncExitStack() as stack:
        await climber.start(stack)
        await _send(climber, first, pace=plan.pace)
        since, before = await climber.log_position(), exposition().decode()
        postgres_s, cpu_s = cpu_seconds(plan.postgres_pid), time.process_time()
        started_ns = time.monotonic_ns()
        await _send(climber, mails, pace=plan.pace)
        ended_ns, cpu_s = time.monotonic_ns(), time.process_time() - cpu_s
        await asyncio.sleep(_AFTERWARDS_S)
        postgres_s = cpu_seconds(plan.postgres_pid) - postgres_s
        after = exposition().decode()
    return ClimbResult(
        ids=[str(mail.notification.id) for mail in (*first, *mails)],
        started_ns=started_ns,
        ended_ns=ended_ns,
        cpu_s=cpu_s,
        postgres_cpu_s=postgres_s,
        since=since,
        metrics=(before, after),
    )


async def _send(climber: Climber, mails: Sequence[Mail], *, pace: Pace) -> None:
    """All of them, as they come in the services. Raises what comes up first."""
    accepted: asyncio.Queue[Mail] = asyncio.Queue()

    async def accept(mail: Mail) -> None:
        await climber.accept(mail)
        accepted.put_nowait(mail)

    async with asyncio.TaskGroup() as group:

        async def accept_all() -> None:
            async for first in _times(len(mails), together=pace.accepted, rate=pace.rate):
                for mail in mails[first : first + pace.accepted]:
                    group.create_task(accept(mail))

        group.create_task(accept_all())
        async for first in _times(len(mails), together=pace.sent, rate=pace.rate):
            come = [await accepted.get() for _ in range(min(pace.sent, len(mails) - first))]
            for mail in come:
                group.create_task(climber.send(mail))


async def _times(count: int, *, together: int, rate: float) -> AsyncIterator[int]:
    """The number of the first of each bunch, when it is due: `rate` mails a second."""
    started = time.monotonic()
    for first in range(0, count, together):
        await asyncio.sleep(max(0.0, started + first / rate - time.monotonic()))
        yield first


def _mail(number: int, *, owner: UUID) -> Mail:
    now = datetime.now(UTC)
    notification = Notification(
        id=uuid7(),
        owner=owner,
        user_id=None,
        external_id=None,
        address=f"person{number}@example.com",
        channel=Channel.EMAIL,
        template_code="bench_order_shipped",
        template_version=1,
        language="en",
        variables={"name": f"Person {number}", "order": f"load-{owner.hex[:8]}-{number}"},
        content=None,
        priority=5,
        lane=Lane.NORMAL,
        category="transactional",
        metadata={},
        status=NotificationStatus.ACCEPTED,
        run=1,
        scheduled_at=None,
        expires_at=None,
        due_at=now,
        test=False,
        batch_id=None,
        event_id=None,
        correlation_id=uuid4().hex,
        created_at=now,
    )
    raw = release_message(notification).body
    key = f"{owner.hex[:8]}-{number}"
    return Mail(
        notification=notification,
        key=KeyClaim(key=key, fingerprint=hashlib.sha256(raw).digest()),
        order=msgspec.json.decode(raw, type=DeliveryRequested),
        raw=raw,
    )


def main() -> None:
    """Read the plan, keep to it, write down the result."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ClimbPlan)
    Path(plan.result_file).write_bytes(msgspec.json.encode(uvloop.run(climb(plan))))


if __name__ == "__main__":
    main()
