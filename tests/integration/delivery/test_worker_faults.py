"""The worker when processes die, answers are lost, and others are away."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from shared.contracts.delivery import (
    DeliveryState,
)
from shared.contracts.recipients import QuietHours
from shared.delivery.outcomes import Accepted, Outcome
from tests.fakes.delivery import People, ScriptedProvider, Templates
from tests.integration.delivery.conftest import OpenChannel
from tests.integration.delivery.scenes import (
    RETRYABLE,
    UNKNOWN,
    WELCOME,
    a_channel,
    a_recipient,
    a_request,
    until,
)


async def test_a_retry_survives_the_broker(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann, RETRYABLE)
    request = a_request(ann)
    await channel.deliver(request)
    await channel.pass_time()

    await channel.sweep.resume_overdue()

    await until(lambda: len(channel.provider.calls) == 2)
    assert [report.state for report in await channel.reports(2)] == [
        DeliveryState.RETRYING,
        DeliveryState.SENT,
    ]


@pytest.mark.parametrize(
    ("category", "calls", "state"),
    [
        ("security", 2, DeliveryState.SENT),
        ("transactional", 2, DeliveryState.SENT),
        ("promotional", 1, DeliveryState.UNKNOWN),
    ],
)
async def test_a_doubt_is_resolved_by_category_and_never_in_silence(
    open_channel: OpenChannel, category: str, calls: int, state: DeliveryState
) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann, UNKNOWN)
    request = a_request(ann, category=category)

    await channel.deliver(request)
    await channel.pass_time()
    await channel.deliver(request, known=True)

    row = await channel.row(request)
    assert len(channel.provider.calls) == calls
    assert row.state is state
    assert row.possible_duplicate is (calls == 2)


@pytest.mark.parametrize(
    ("category", "state"),
    [("transactional", DeliveryState.RETRYING), ("promotional", DeliveryState.UNKNOWN)],
)
async def test_a_call_whose_process_died_is_a_doubt(
    open_channel: OpenChannel, category: str, state: DeliveryState
) -> None:
    ann = a_recipient()
    never = asyncio.Event()

    async def hang() -> Outcome:
        await never.wait()
        raise AssertionError

    channel = await open_channel(People(ann), Templates(WELCOME), ScriptedProvider(hang))
    request = a_request(ann, category=category)
    delivering = asyncio.create_task(channel.deliver(request))
    await until(lambda: len(channel.provider.calls) == 1)
    await channel.pass_time()

    await channel.sweep.settle_expired()

    row = await channel.row(request)
    assert row.state is state
    assert row.possible_duplicate is (state is DeliveryState.RETRYING)
    assert [attempt.outcome for attempt in row.attempts] == ["unknown"]
    delivering.cancel()


async def test_a_yes_that_comes_after_the_lease_is_kept(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    answer = asyncio.Event()

    async def late() -> Outcome:
        await answer.wait()
        return await ScriptedProvider().send(channel.provider.calls[0])

    channel = await open_channel(People(ann), Templates(WELCOME), ScriptedProvider(late))
    request = a_request(ann, category="promotional")
    delivering = asyncio.create_task(channel.deliver(request))
    await until(lambda: len(channel.provider.calls) == 1)
    await channel.pass_time()
    await channel.sweep.settle_expired()
    answer.set()
    await delivering

    row = await channel.row(request)
    assert row.state is DeliveryState.SENT
    assert [attempt.outcome for attempt in row.attempts] == ["unknown", "accepted"]
    assert len(channel.provider.calls) == 1


async def test_each_of_three_devices_gets_one_though_the_process_dies_after_the_first(
    open_channel: OpenChannel,
) -> None:
    ann = a_recipient(devices=3)
    people, templates, request = People(ann), Templates(WELCOME), a_request(ann)
    died = await open_channel(people, templates, ScriptedProvider())
    await died.deliver(request)
    assert {row.targets for row in await died.rows(request)} == {3}
    # Back to where the process was when it had entered all three and called the first.
    async with died.database.connection() as connection:
        await connection.execute(
            "UPDATE deliveries SET state = 'pending', attempt = 0, attempts = '[]', request = $1, "
            "next_attempt_at = now() - interval '1 hour' WHERE target <> $2",
            msgspec.json.encode(request),
            str(UUID(int=1)),
        )
    next_process = await open_channel(people, templates, ScriptedProvider())

    await next_process.sweep.resume_overdue()
    await next_process.deliver(request)

    await until(lambda: len(next_process.provider.calls) == 2)
    assert sorted(call.target.id for call in next_process.provider.calls) == [
        str(UUID(int=n)) for n in (2, 3)
    ]


async def test_while_the_user_service_is_away_nothing_is_sent_and_nothing_is_spent(
    open_channel: OpenChannel,
) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    channel.people.away = True
    request = a_request(ann)
    delivering = asyncio.create_task(channel.deliver(request))
    await until(lambda: channel.people.asked >= 2)
    assert channel.provider.calls == []
    assert await channel.rows(request) == []

    channel.people.away = False
    await delivering

    assert (await channel.row(request)).state is DeliveryState.SENT


async def test_a_report_without_receipt_is_repeated(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    await channel.deliver(a_request(ann))
    (first,) = await channel.reports(1)
    await channel.pass_time()

    await channel.sweep.repeat_reports()

    (second,) = await channel.reports(1)
    assert (second.notification_id, second.state) == (first.notification_id, first.state)


async def test_a_stop_lets_a_call_in_flight_end(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    answer = asyncio.Event()

    async def slow() -> Outcome:
        await answer.wait()
        return RETRYABLE

    channel = await open_channel(People(ann), Templates(WELCOME), ScriptedProvider(slow))
    request = a_request(ann)
    delivering = asyncio.create_task(channel.deliver(request))
    await until(lambda: len(channel.provider.calls) == 1)
    delivering.cancel()
    answer.set()

    await channel.caller.finish(grace_s=5)

    row = await channel.row(request)
    assert row.state is DeliveryState.RETRYING
    assert len(row.attempts) == 1


async def test_an_outcome_is_settled_though_the_database_goes_away_in_the_middle(
    open_channel: OpenChannel, postgres_server: EmbeddedPostgres
) -> None:
    ann = a_recipient()
    answer = asyncio.Event()

    async def slow() -> Outcome:
        await answer.wait()
        return Accepted(provider_message_id="id\0with NUL")

    channel = await open_channel(People(ann), Templates(WELCOME), ScriptedProvider(slow))
    request = a_request(ann)
    delivering = asyncio.create_task(channel.deliver(request))
    await until(lambda: len(channel.provider.calls) == 1)
    async with channel.database.connection() as connection:
        name = await connection.fetchval("SELECT current_database()")
    postgres_server.run_sql(f"alter database {name} with allow_connections false")
    postgres_server.run_sql(
        f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{name}'"
    )
    try:
        answer.set()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(delivering), 0.5)
    finally:
        postgres_server.run_sql(f"alter database {name} with allow_connections true")

    await delivering

    assert (await channel.row(request)).state is DeliveryState.SENT
    assert len(channel.provider.calls) == 1


async def test_the_lease_of_a_long_call_is_kept_alive(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    answer = asyncio.Event()

    async def slow() -> Outcome:
        await answer.wait()
        return RETRYABLE

    channel = await open_channel(People(ann), Templates(WELCOME), ScriptedProvider(slow))
    request = a_request(ann)
    delivering = asyncio.create_task(channel.deliver(request))
    await until(lambda: len(channel.provider.calls) == 1)
    async with channel.database.connection() as connection:
        await connection.execute(
            "UPDATE deliveries SET lease_until = clock_timestamp() + interval '1 second'"
        )

    await channel.caller.renew_leases()

    lease_in_s = (await channel.row(request)).lease_in_s
    assert lease_in_s is not None
    assert lease_in_s > 5
    answer.set()
    await delivering


async def test_the_sweep_does_all_its_work_by_itself(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    died = await a_channel(open_channel, ann, RETRYABLE)
    doubtful, overdue, unreported = a_request(ann, category="promotional"), a_request(ann), a_request(ann)
    await died.deliver(overdue)
    await died.deliver(unreported)
    never = asyncio.Event()

    async def hang() -> Outcome:
        await never.wait()
        raise AssertionError

    hanging = await open_channel(died.people, Templates(WELCOME), ScriptedProvider(hang))
    delivering = asyncio.create_task(hanging.deliver(doubtful))
    await until(lambda: len(hanging.provider.calls) == 1)
    await died.reports(2)
    await died.pass_time()
    next_process = await open_channel(died.people, Templates(WELCOME), ScriptedProvider())

    sweeping = asyncio.create_task(next_process.sweep.run())

    reports = {(report.notification_id, report.state) for report in await died.reports(4)}
    assert (doubtful.notification_id, DeliveryState.UNKNOWN) in reports
    assert (overdue.notification_id, DeliveryState.SENT) in reports
    assert (unreported.notification_id, DeliveryState.SENT) in reports
    sweeping.cancel()
    delivering.cancel()


async def test_a_copy_waits_for_what_is_in_hand_and_then_finds_it_done(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    channel.people.away = True
    request = a_request(ann)
    first = asyncio.create_task(channel.deliver(request))
    await until(lambda: channel.people.asked >= 1)
    copy = asyncio.create_task(channel.deliver(request))
    await asyncio.sleep(0)
    first.cancel()
    channel.people.away = False

    await copy

    assert (await channel.row(request)).state is DeliveryState.SENT
    assert len(channel.provider.calls) == 1


async def test_a_defect_met_by_the_sweep_is_parked_with_its_stack(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann, RETRYABLE)
    await channel.deliver(a_request(ann))
    await channel.pass_time()
    del channel.people.known  # a defect: every look-up raises from now on

    await channel.sweep.resume_overdue()

    (parked,) = await channel.parked(1)
    assert parked.report.problem is not None
    assert parked.report.problem.kind == "internal.defect"
    assert parked.stack is not None
    assert "AttributeError" in parked.stack


async def test_a_doubt_is_not_carried_into_another_run(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann, UNKNOWN)
    request = a_request(ann)
    await channel.deliver(request)
    await channel.pass_time()
    now = datetime.now(UTC)
    quiet = QuietHours(
        start=(now - timedelta(hours=1)).strftime("%H:%M"), end=(now + timedelta(hours=1)).strftime("%H:%M")
    )
    channel.people.known[ann.id] = msgspec.structs.replace(ann, quiet_hours=quiet)

    await channel.deliver(request, known=True)

    assert (await channel.row(request)).state is DeliveryState.UNKNOWN
    assert len(channel.provider.calls) == 1
