"""The worker on a real ledger and a real broker: what is sent, how often, and what is said of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import (
    DeliveryRequested,
    DeliveryState,
    InlineMessage,
    Problem,
    TemplateMessage,
)
from shared.contracts.recipients import DeviceTarget, QuietHours, Recipient
from shared.contracts.templates import TemplateVersion
from shared.delivery.outcomes import Outcome, Rejected, Retryable, Unknown
from tests.fakes.delivery import People, ScriptedProvider, Templates
from tests.integration.delivery.conftest import ChannelUnderTest, OpenChannel

PROBLEM = Problem(kind="provider.refused", message="No.")
RETRYABLE = Retryable(problem=PROBLEM)
UNKNOWN = Unknown(problem=PROBLEM)

WELCOME = TemplateVersion(
    code="welcome",
    channel=Channel.PUSH,
    version=1,
    language="en",
    subject="Hi",
    body="Hello {{ name }}",
    text_body=None,
    required_variables=("name",),
    variables_schema=None,
)


def a_recipient(
    *, devices: int = 1, enabled: dict[str, bool] | None = None, quiet_hours: QuietHours | None = None
) -> Recipient:
    return Recipient(
        id=uuid4(),
        name="Ann",
        email=None,
        phone=None,
        slack_id=None,
        language=None,
        timezone="UTC",
        enabled=enabled or {},
        categories={},
        quiet_hours=quiet_hours,
        devices=tuple(
            DeviceTarget(id=UUID(int=number), platform="android", token=f"token-{number}")
            for number in range(1, devices + 1)
        ),
    )


def a_request(
    recipient: Recipient | None,
    *,
    category: str = "transactional",
    variables: dict[str, object] | None = None,
    code: str = "welcome",
    expires_at: datetime | None = None,
    test: bool = False,
    address: str | None = None,
) -> DeliveryRequested:
    return DeliveryRequested(
        notification_id=uuid4(),
        run=1,
        channel=Channel.PUSH,
        lane=Lane.NORMAL,
        category=category,
        priority=5,
        user_id=None if recipient is None else recipient.id,
        address=address,
        message=TemplateMessage(
            code=code, language=None, version=1, variables={"name": "Ann"} if variables is None else variables
        ),
        correlation_id="c-1",
        created_at=datetime.now(UTC),
        expires_at=expires_at,
        test=test,
    )


async def a_channel(open_channel: OpenChannel, recipient: Recipient, *answers: Outcome) -> ChannelUnderTest:
    return await open_channel(People(recipient), Templates(WELCOME), ScriptedProvider(*answers))


async def test_a_message_is_rendered_sent_and_reported(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    request = a_request(ann)

    assert await channel.deliver(request) is None

    assert [call.content for call in channel.provider.calls] == ["Hello Ann"]
    (report,) = await channel.reports(1)
    assert report.state is DeliveryState.SENT
    assert report.provider_message_id == "id-1"
    assert [attempt.outcome for attempt in report.attempts] == ["accepted"]


async def test_copies_of_a_message_are_sent_once(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    people, templates, provider = People(ann), Templates(WELCOME), ScriptedProvider()
    processes = [await open_channel(people, templates, provider) for _ in range(3)]
    request = a_request(ann)

    await asyncio.gather(*(process.deliver(request) for process in processes for _ in range(5)))
    await processes[0].deliver(request, known=True)

    assert len(provider.calls) == 1


async def test_four_calls_in_all_then_it_is_parked_with_its_history(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann, *[RETRYABLE] * 4)
    request = a_request(ann)

    steps: list[int | None] = []
    for _ in range(4):
        steps.append(await channel.deliver(request, known=bool(steps)))
        await channel.pass_time()
    await channel.deliver(request, known=True)

    assert steps == [1, 2, 3, None]
    assert len(channel.provider.calls) == 4
    (parked,) = await channel.parked(1)
    assert parked.request == request
    assert parked.report.state is DeliveryState.FAILED
    assert [attempt.number for attempt in parked.report.attempts] == [1, 2, 3, 4]


async def test_a_copy_that_comes_too_early_spends_no_attempt(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann, RETRYABLE)
    request = a_request(ann)
    await channel.deliver(request)
    await channel.postpone()

    await channel.deliver(request)
    await channel.deliver(request, known=True)

    assert len(channel.provider.calls) == 1
    assert (await channel.row(request)).state is DeliveryState.RETRYING


async def test_a_retry_survives_the_broker(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann, RETRYABLE)
    request = a_request(ann)
    await channel.deliver(request)
    await channel.pass_time()

    await channel.sweep.resume_overdue()

    await _until(lambda: len(channel.provider.calls) == 2)
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
    await _until(lambda: len(channel.provider.calls) == 1)
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
    await _until(lambda: len(channel.provider.calls) == 1)
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

    await _until(lambda: len(next_process.provider.calls) == 2)
    assert sorted(call.target.id for call in next_process.provider.calls) == [
        str(UUID(int=n)) for n in (2, 3)
    ]


async def test_what_the_recipient_does_not_want_is_not_sent(open_channel: OpenChannel) -> None:
    ann = a_recipient(enabled={"push": False})
    channel = await a_channel(open_channel, ann)
    request = a_request(ann)

    await channel.deliver(request)

    (report,) = await channel.reports(1)
    assert report.state is DeliveryState.SUPPRESSED
    assert channel.provider.calls == []


async def test_quiet_hours_end_the_run_with_a_time(open_channel: OpenChannel) -> None:
    now = datetime.now(UTC)
    quiet = QuietHours(
        start=(now - timedelta(hours=1)).strftime("%H:%M"), end=(now + timedelta(hours=1)).strftime("%H:%M")
    )
    ann = a_recipient(quiet_hours=quiet)
    channel = await a_channel(open_channel, ann)

    await channel.deliver(a_request(ann))

    (report,) = await channel.reports(1)
    assert report.state is DeliveryState.DEFERRED
    assert report.deferred_until is not None
    assert report.deferred_until > now
    assert channel.provider.calls == []


async def test_a_stray_copy_of_a_deferred_run_is_not_sent(open_channel: OpenChannel) -> None:
    ann = a_recipient(enabled={"push": False})
    channel = await a_channel(open_channel, ann)
    request = a_request(ann)
    await channel.deliver(request)
    channel.people.known[ann.id] = a_recipient_like(ann)

    await channel.deliver(request)

    assert channel.provider.calls == []


def a_recipient_like(other: Recipient) -> Recipient:
    return Recipient(
        id=other.id,
        name=other.name,
        email=None,
        phone=None,
        slack_id=None,
        language=None,
        timezone="UTC",
        enabled={},
        categories={},
        quiet_hours=None,
        devices=other.devices,
    )


async def test_wishes_older_than_a_second_are_asked_for_again_before_the_call(
    open_channel: OpenChannel,
) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    channel.people.aged_by_s = 1.5

    await channel.deliver(a_request(ann))

    assert channel.people.asked == 2
    assert len(channel.provider.calls) == 1


async def test_while_the_user_service_is_away_nothing_is_sent_and_nothing_is_spent(
    open_channel: OpenChannel,
) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    channel.people.away = True
    request = a_request(ann)
    delivering = asyncio.create_task(channel.deliver(request))
    await _until(lambda: channel.people.asked >= 2)
    assert channel.provider.calls == []
    assert await channel.rows(request) == []

    channel.people.away = False
    await delivering

    assert (await channel.row(request)).state is DeliveryState.SENT


@pytest.mark.parametrize(
    ("request_changes", "kind"),
    [
        ({"variables": {}}, "template.variable_missing"),
        ({"code": "nobody"}, "template.unknown"),
    ],
)
async def test_what_cannot_be_made_is_parked_with_the_reason(
    open_channel: OpenChannel, request_changes: dict[str, object], kind: str
) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)

    await channel.deliver(a_request(ann, **request_changes))  # type: ignore[arg-type] # by keyword

    (parked,) = await channel.parked(1)
    assert parked.report.problem is not None
    assert parked.report.problem.kind == kind
    assert channel.provider.calls == []


async def test_a_recipient_without_a_device_or_unknown_is_parked(open_channel: OpenChannel) -> None:
    ann, stranger = a_recipient(devices=0), a_recipient()
    channel = await a_channel(open_channel, ann)

    await channel.deliver(a_request(ann))
    await channel.deliver(a_request(stranger))

    kinds = [parked.report.problem.kind for parked in await channel.parked(2) if parked.report.problem]
    assert kinds == ["recipient.no_address", "recipient.unknown"]


async def test_what_has_expired_is_never_sent(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)

    await channel.deliver(a_request(ann, expires_at=datetime.now(UTC) - timedelta(seconds=1)))

    (report,) = await channel.reports(1)
    assert report.state is DeliveryState.EXPIRED
    assert channel.provider.calls == []


async def test_a_rejection_is_final(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann, Rejected(problem=PROBLEM))
    request = a_request(ann)

    assert await channel.deliver(request) is None
    await channel.pass_time()
    await channel.sweep.resume_overdue()
    await channel.deliver(request, known=True)

    assert len(channel.provider.calls) == 1


async def test_a_test_goes_all_the_way_and_stops_short_of_the_provider(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    request = a_request(ann, test=True)

    await channel.deliver(request)

    row = await channel.row(request)
    assert row.state is DeliveryState.SENT
    assert row.provider == "dry-run"
    assert channel.provider.calls == []


async def test_inline_content_is_sent_word_for_word(open_channel: OpenChannel) -> None:
    channel = await a_channel(open_channel, a_recipient())
    by_template = a_request(None, address="token-9")
    request = DeliveryRequested(
        **{name: getattr(by_template, name) for name in by_template.__struct_fields__ if name != "message"},
        message=InlineMessage(subject="Hi", body="{{ 7 * 7 }}"),
    )

    await channel.deliver(request)

    assert [call.content for call in channel.provider.calls] == ["{{ 7 * 7 }}"]
    assert [call.target.address for call in channel.provider.calls] == ["token-9"]


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
    await _until(lambda: len(channel.provider.calls) == 1)
    delivering.cancel()
    answer.set()

    await channel.caller.finish(grace_s=5)

    row = await channel.row(request)
    assert row.state is DeliveryState.RETRYING
    assert len(row.attempts) == 1


async def _until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
