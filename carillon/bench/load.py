"""The load generator as a process: `python -m carillon.bench.load PLAN`. Raw HTTP/1.1, kept connections."""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import uvloop

from carillon.bench.http_exchange import HttpConnection, Reply, request_bytes
from carillon.bench.load_plan import Answer, LoadPlan, LoadResult, due_times

_LEAD_NS = 50_000_000
_ANSWER_WITHIN_S = 120.0


class _Entry(msgspec.Struct):
    id: str | None = None


class _Accepted(msgspec.Struct):
    """The answer to one, or to a batch."""

    id: str | None = None
    results: list[_Entry] = []


async def run(plan: LoadPlan, *, enough: asyncio.Event) -> LoadResult:
    """Send everything; nothing more once there is `enough`. Raises OSError where nobody listens."""
    requests = list(_requests(plan))
    connections = [HttpConnection("127.0.0.1", plan.port) for _ in range(plan.connections)]
    await asyncio.gather(*(connection.open() for connection in connections))
    cpu_s, started_ns = time.process_time(), time.monotonic_ns()
    due = None
    if plan.rate is not None:
        due = due_times(len(requests), rate=plan.rate, start_ns=started_ns + _LEAD_NS)
    timed = await _send(requests, connections, due=due, enough=enough)
    ended_ns, cpu_s = time.monotonic_ns(), time.process_time() - cpu_s
    for connection in connections:
        connection.close()
    answers = [Answer(*seen, reply.status, _ids(reply)) for seen, reply in timed]
    return LoadResult(started_ns=started_ns, ended_ns=ended_ns, cpu_s=cpu_s, answers=answers)


async def _send(
    requests: Sequence[bytes],
    connections: Sequence[HttpConnection],
    *,
    due: Sequence[int] | None,
    enough: asyncio.Event,
) -> list[tuple[tuple[int, int, int, int], Reply]]:
    timed: list[tuple[tuple[int, int, int, int], Reply]] = []
    numbers = iter(range(len(requests)))

    async def ask_on(connection: HttpConnection) -> None:
        # Whoever is free takes the next. In an open loop, all busy, it waits, and the wait is in its latency.
        for number in numbers:
            if due is not None:
                await asyncio.sleep(max(0, due[number] - time.monotonic_ns()) / 1e9)
            if enough.is_set():
                return
            sent = time.monotonic_ns()
            reply = await connection.ask(requests[number], within_s=_ANSWER_WITHIN_S)
            was_due = sent if due is None else due[number]
            timed.append(((number, was_due, sent, time.monotonic_ns()), reply))

    await asyncio.gather(*(ask_on(connection) for connection in connections))
    return timed


def _requests(plan: LoadPlan) -> Iterator[bytes]:
    with Path(plan.requests_file).open("rb") as file:
        for line in file:
            key, _, body = line.rstrip(b"\n").partition(b"\t")
            yield request_bytes(
                path=plan.path, authorization=plan.authorization, idempotency_key=key, body=body
            )


def _ids(reply: Reply) -> list[str]:
    if reply.status != 202:
        return []
    accepted = msgspec.json.decode(reply.body, type=_Accepted)
    if accepted.id is not None:
        return [accepted.id]
    return [entry.id for entry in accepted.results if entry.id is not None]


async def _run_until_told(plan: LoadPlan) -> LoadResult:
    enough = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, enough.set)
    return await run(plan, enough=enough)


def main() -> None:
    """Read the plan, keep to it, write down the result. SIGTERM: that is enough."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=LoadPlan)
    Path(plan.result_file).write_bytes(msgspec.json.encode(uvloop.run(_run_until_told(plan))))


if __name__ == "__main__":
    main()
