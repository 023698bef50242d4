"""The worker on a real ledger and a real broker: what is sent, how often, and what is said of it."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from shared.contracts.delivery import (
    DeliveryRequested,
    DeliveryState,
    InlineMessage,
)
from shared.contracts.recipients import QuietHours
from shared.delivery.outcomes import Rejected, Throttled
from shared.delivery.rota import Passage
from tests.fakes.delivery import People, ScriptedProvider, Templates
from tests.integration.delivery.conftest import OpenChannel
from tests.integration.delivery.scenes import (
    PROBLEM,
    RETRYABLE,
    WELCOME,
    a_channel,
    a_recipient,
    a_request,
)


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
    channel.people.known[ann.id] = msgspec.structs.replace(ann, enabled={})

    await channel.deliver(request)

    assert channel.provider.calls == []


async def test_wishes_older_than_a_second_are_asked_for_again_before_the_call(
    open_channel: OpenChannel,
) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    channel.people.aged_by_s = 1.5

    await channel.deliver(a_request(ann))

    assert channel.people.asked == 2
    assert len(channel.provider.calls) == 1


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


async def test_devices_that_an_earlier_run_has_reached_are_left_out(open_channel: OpenChannel) -> None:
    ann = a_recipient(devices=3)
    channel = await a_channel(open_channel, ann)
    first, second, third = (str(device.id) for device in ann.devices)
    request = msgspec.structs.replace(a_request(ann), run=2, except_targets=(first, third))

    await channel.deliver(request)

    assert [call.target.id for call in channel.provider.calls] == [second]
    (report,) = await channel.reports(1)
    assert (report.target, report.targets, report.state) == (second, 1, DeliveryState.SENT)

    await channel.deliver(msgspec.structs.replace(request, run=3, except_targets=(first, second, third)))

    assert len(channel.provider.calls) == 1
    (parked,) = await channel.parked(1)
    assert parked.report.problem is not None
    assert parked.report.problem.kind == "recipient.nobody_left"


async def test_what_has_expired_is_never_sent(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)

    await channel.deliver(a_request(ann, expires_at=datetime.now(UTC) - timedelta(seconds=1)))

    (report,) = await channel.reports(1)
    assert report.state is DeliveryState.EXPIRED
    assert channel.provider.calls == []


async def test_a_call_ends_when_the_message_expires(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    left_s = 3.0

    await channel.deliver(a_request(ann, expires_at=datetime.now(UTC) + timedelta(seconds=left_s)))
    await channel.deliver(a_request(ann))

    soon, usual = channel.provider.calls
    assert usual.deadline - soon.deadline > channel.provider.timeout_s - left_s - 0.5
    assert soon.deadline - time.monotonic() <= left_s


async def test_a_claim_that_took_too_long_calls_nobody_and_is_tried_again(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann)
    channel.provider.timeout_s = 0.0  # its time is up as soon as it is claimed
    request = a_request(ann)

    await channel.deliver(request)

    row = await channel.row(request)
    assert channel.provider.calls == []
    assert row.state is DeliveryState.RETRYING
    assert [attempt.problem.kind for attempt in row.attempts if attempt.problem] == ["deadline.passed"]
    assert channel.rota.passage is Passage.FREE


async def test_what_was_accepted_days_ago_is_throttled_like_any_other(open_channel: OpenChannel) -> None:
    ann = a_recipient()
    channel = await a_channel(open_channel, ann, Throttled(after_s=30, problem=PROBLEM))
    scheduled = msgspec.structs.replace(a_request(ann), created_at=datetime.now(UTC) - timedelta(days=3))

    await channel.deliver(scheduled)

    assert (await channel.row(scheduled)).state is DeliveryState.RETRYING


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
