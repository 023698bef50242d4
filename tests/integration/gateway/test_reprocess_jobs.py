"""Many failures are sent again as a job: a few first, then the rest, each once, whatever happens."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from gateway_service.domain.job_steps import take_step
from gateway_service.storage.reprocess_jobs import take_jobs
from shared.process.clock import SystemClock
from tests.builders import a_recipient
from tests.integration.gateway.conftest import Gateway, StartGateway, eventually
from tests.integration.gateway.failing import (
    BROKEN,
    REFUSED,
    SCOPES,
    Worker,
    ask,
    failed,
    failed_for,
    items,
    job_reaches,
    start_job,
)


@pytest.fixture
def operated(gateway: Gateway) -> Gateway:
    """A gateway whose sender may deal with failures."""
    gateway.key = gateway.peers.add_key(scopes=SCOPES)
    return gateway


def figures(job: dict[str, Any]) -> tuple[int, ...]:
    return tuple(job[name] for name in ("total", "released", "skipped", "sent", "failed_again"))


async def test_a_job_sends_everything_once_and_says_so(operated: Gateway) -> None:
    broken = await failed(operated, 25)
    async with Worker(operated) as worker:
        job = await start_job(operated, per_second=1000)
        done = await job_reaches(operated, job["id"], "completed")
    assert figures(done) == (25, 25, 0, 25, 0)
    assert sorted(worker.sent) == sorted(item.id for item in broken)
    assert await items(operated) == []
    acts = (await ask(operated, "GET", f"/audit?job_id={job['id']}")).json()["items"]
    assert [act["act"] for act in acts] == ["job.completed", "job.started"]
    again = await items(operated, f"?status=reprocessed&job_id={job['id']}")
    assert len(again) == 25


async def test_a_first_batch_that_fails_again_stops_the_rest(operated: Gateway) -> None:
    await failed(operated, 25)
    async with Worker(operated) as worker:
        worker.problem = REFUSED
        job = await start_job(operated, per_second=1000)
        stopped = await job_reaches(operated, job["id"], "stopped")
        assert figures(stopped) == (25, 10, 0, 0, 10)
        assert stopped["reason"].endswith(
            f"of the first 10 failed for the same cause again: {REFUSED.message}"
        )
        assert len(await items(operated)) == 25  # 15 that were not touched, and 10 anew
        worker.problem = None
        assert (await ask(operated, "POST", f"/jobs/{job['id']}/resume")).status_code == 200
        done = await job_reaches(operated, job["id"], "completed")
    assert figures(done) == (35, 35, 0, 25, 10)
    assert len(set(worker.sent)) == len(worker.sent) == 25
    assert await items(operated) == []


async def test_a_first_batch_that_fails_for_another_cause_does_not_stop_the_rest(operated: Gateway) -> None:
    await failed(operated, 12)
    async with Worker(operated) as worker:
        worker.problem = BROKEN
        job = await start_job(operated, per_second=1000)
        done = await job_reaches(operated, job["id"], "completed")
    assert figures(done) == (12, 12, 0, 0, 12)


async def test_a_job_is_paused_resumed_and_cancelled(operated: Gateway) -> None:
    await failed(operated, 14)
    job = await start_job(operated, per_second=1000)  # nobody delivers: it waits for its first batch
    await eventually(lambda: _released(operated, job["id"], 10))
    assert (await ask(operated, "POST", f"/jobs/{job['id']}/pause")).json()["status"] == "paused"
    assert (await ask(operated, "POST", f"/jobs/{job['id']}/pause")).status_code == 409
    async with Worker(operated) as worker:
        await eventually(lambda: _is(len(worker.sent) == 10))
        paused = await job_reaches(operated, job["id"], "paused")
        assert figures(paused) == (14, 10, 0, 10, 0)
        assert (await ask(operated, "POST", f"/jobs/{job['id']}/resume")).json()["status"] == "running"
        await job_reaches(operated, job["id"], "completed")
        assert len(worker.sent) == 14
    cancelled = await ask(operated, "POST", f"/jobs/{job['id']}/cancel")
    assert cancelled.json()["type"] == "urn:carillon:problem:job_is_over"


async def test_a_cancelled_job_releases_nothing_more(operated: Gateway) -> None:
    await failed(operated, 12)
    job = await start_job(operated, per_second=1000)
    await eventually(lambda: _released(operated, job["id"], 10))
    assert (await ask(operated, "POST", f"/jobs/{job['id']}/cancel")).json()["status"] == "cancelled"
    async with Worker(operated) as worker:
        done = await job_reaches(operated, job["id"], "cancelled")
    assert (figures(done), len(worker.sent)) == ((12, 10, 0, 10, 0), 10)
    assert len(await items(operated)) == 2


async def test_two_gateways_and_two_jobs_for_the_same_failures_send_each_once(
    start_gateway: StartGateway,
) -> None:
    first, second = await start_gateway(), await start_gateway()
    first.key = first.peers.add_key(scopes=SCOPES)
    await failed(first, 40)
    async with Worker(first) as worker:
        jobs = await asyncio.gather(
            *(start_job(gateway, as_=first.key, per_second=1000) for gateway in (first, second))
        )
        done = [await job_reaches(first, job["id"], "completed") for job in jobs]
    assert len(worker.sent) == len(set(worker.sent)) == 40
    assert sum(job["released"] for job in done) == 40
    assert all(job["released"] + job["skipped"] <= 40 for job in done)


async def test_another_process_goes_on_where_the_last_one_died(operated: Gateway) -> None:
    """The progress is written with the releases, so a process that dies between two steps leaves nothing
    half done; its lease runs out, and what it still says after that is refused."""
    await failed(operated, 30)
    database, dead = operated.app.state.failures._database, uuid4()
    identifier = UUID((await start_job(operated, per_second=1000, limit=25))["id"])

    async def is_taken() -> bool:
        async with database.connection() as connection:
            await connection.execute("UPDATE reprocess_jobs SET lease_token = NULL, lease_until = NULL")
            return identifier in await take_jobs(connection, dead, limit=50)

    await eventually(is_taken)
    before = (await ask(operated, "GET", f"/jobs/{identifier}")).json()["released"]
    await take_step(database, SystemClock(), identifier, token=dead, at_most=3)
    await operated.sql("UPDATE reprocess_jobs SET lease_until = now() - interval '1 second'")
    async with Worker(operated) as worker:
        done = await job_reaches(operated, str(identifier), "completed")
    late = await take_step(database, SystemClock(), identifier, token=dead, at_most=3)
    assert (late.released, late.changed) == (0, False)
    assert before <= 10
    assert figures(done) == (25, 25, 0, 25, 0)
    assert len(worker.sent) == len(set(worker.sent)) == 25
    assert len(await items(operated)) == 5


async def test_a_dry_run_changes_nothing_and_says_what_would_happen(operated: Gateway) -> None:
    away = a_recipient(enabled={"email": False})
    operated.peers.recipients[away.id] = away
    await failed(operated, 3)  # the same words to the same person: two look like duplicates
    await failed(operated, 1, variables={"name": "Bea"})
    [over] = await failed(operated, 1, variables={"name": "Cid"})
    await operated.sql("UPDATE notifications SET expires_at = now() WHERE id = $1", over.id)
    [opted_out] = await failed(operated, 1, variables={"name": "Dan"})
    await operated.sql("UPDATE notifications SET user_id = $2 WHERE id = $1", opted_out.id, away.id)
    found = await start_job(operated, dry_run=True)
    assert found == {
        "dry_run": True, "matching": 6, "examined": 6, "unreadable": 0, "expired": 1, "busy": 0,
        "opted_out": 1, "would_send": 4, "likely_duplicates": 2,
    }  # fmt: skip
    assert len(await items(operated)) == 6
    assert await operated.sql("SELECT FROM reprocess_jobs") == []


async def test_what_was_said_since_looks_like_a_duplicate_and_can_be_left_out(operated: Gateway) -> None:
    [broken, other] = [*await failed(operated), *await failed(operated, variables={"name": "Bea"})]
    async with Worker(operated) as worker:
        await operated.post(operated.a_request())  # the sender has asked again
        await eventually(lambda: _is(len(worker.sent) == 1))
        found = await start_job(operated, dry_run=True)
        assert (found["would_send"], found["likely_duplicates"]) == (2, 1)
        job = await start_job(operated, skip_likely_duplicates=True)
        done = await job_reaches(operated, job["id"], "completed")
    assert figures(done) == (2, 1, 1, 1, 0)
    assert worker.sent[1:] == [other.id]
    assert [item["notification_id"] for item in await items(operated)] == [str(broken.id)]


async def test_a_filter_has_to_name_something(operated: Gateway) -> None:
    answer = await ask(operated, "POST", "/reprocess", filter={})
    assert answer.status_code == 422
    until = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    await failed_for(operated, BROKEN)
    found = await start_job(operated, filter={"until": until}, dry_run=True)
    assert found["would_send"] == 1


async def _released(gateway: Gateway, identifier: str, count: int) -> bool:
    found = (await ask(gateway, "GET", f"/jobs/{identifier}")).json()
    return bool(found["released"] == count)


async def _is(value: bool) -> bool:
    return value
