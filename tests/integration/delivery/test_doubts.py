"""A call of which nobody knows whether the message was taken, and a provider that can help."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.contracts.delivery import Attempt, DeliveryRequested, DeliveryState
from shared.delivery.ledger_rows import Conclusion, Opening, SettledAttempt
from shared.delivery.outcomes import Accepted, Retryable, Throttled
from shared.delivery.recourse import Finding, Inquiry, Recourse
from shared.delivery.retry import DoubtStep, Settlement
from tests.fakes.delivery import Answer, People, ScriptedProvider, Templates
from tests.integration.delivery.conftest import ChannelUnderTest, OpenChannel
from tests.integration.delivery.scenes import PROBLEM, UNKNOWN, WELCOME, a_recipient, a_request, until

KEYS = Recourse(same_key=timedelta(hours=24))
CALLS_BACK = Recourse(calls_back=True)
CATEGORIES = ["security", "transactional", "promotional"]


class Asked:
    """Answers questions, and keeps them."""

    def __init__(self, *findings: Finding) -> None:
        self._findings = list(findings)
        self.inquiries: list[Inquiry] = []

    async def __call__(self, inquiry: Inquiry) -> Finding:
        """The next finding."""
        self.inquiries.append(inquiry)
        return self._findings.pop(0)


async def opened(
    open_channel: OpenChannel,
    *answers: Answer,
    recourse: Recourse,
    others: tuple[ScriptedProvider, ...] = (),
    category: str = "transactional",
) -> tuple[ChannelUnderTest, DeliveryRequested]:
    ann = a_recipient()
    provider = ScriptedProvider(*answers, recourse=recourse)
    channel = await open_channel(People(ann), Templates(WELCOME), provider, *others)
    return channel, a_request(ann, category=category)


async def go_on(channel: ChannelUnderTest, request: DeliveryRequested) -> None:
    """What was to happen later happens now."""
    await channel.pass_time()
    await channel.deliver(request, known=True)


@pytest.mark.parametrize("category", CATEGORIES)
async def test_a_provider_that_takes_keys_is_called_again_with_the_same_one(
    open_channel: OpenChannel, category: str
) -> None:
    other = ScriptedProvider(name="other")
    channel, request = await opened(open_channel, UNKNOWN, recourse=KEYS, others=(other,), category=category)

    await channel.deliver(request)
    await go_on(channel, request)

    row = await channel.row(request)
    assert row.state is DeliveryState.SENT
    assert not row.possible_duplicate
    assert len({call.message_id for call in channel.provider.calls}) == 1
    assert (len(channel.provider.calls), len(other.calls)) == (2, 0)


async def test_a_death_in_the_middle_of_a_call_is_put_right_by_the_same_key(
    open_channel: OpenChannel,
) -> None:
    never = asyncio.Event()

    async def hang() -> Accepted:
        await never.wait()
        raise AssertionError

    channel, request = await opened(open_channel, hang, recourse=KEYS, category="promotional")
    delivering = asyncio.create_task(channel.deliver(request))
    await until(lambda: len(channel.provider.calls) == 1)
    await channel.pass_time()

    await channel.sweep.settle_expired()
    assert (await channel.row(request)).doubt is DoubtStep.SAME_KEY
    delivering.cancel()
    next_process = await open_channel(channel.people, Templates(WELCOME), ScriptedProvider(recourse=KEYS))
    await go_on(next_process, request)

    row = await channel.row(request)
    assert row.state is DeliveryState.SENT
    assert not row.possible_duplicate
    calls = channel.provider.calls + next_process.provider.calls
    assert len({call.message_id for call in calls}) == 1


@pytest.mark.parametrize("category", CATEGORIES)
async def test_what_the_provider_asked_says_it_has_is_not_sent_again(
    open_channel: OpenChannel, category: str
) -> None:
    asked = Asked(Finding.TAKEN)
    channel, request = await opened(open_channel, UNKNOWN, recourse=Recourse(ask=asked), category=category)

    await channel.deliver(request)
    await go_on(channel, request)

    row = await channel.row(request)
    assert row.state is DeliveryState.SENT
    assert not row.possible_duplicate
    assert len(channel.provider.calls) == 1
    assert [inquiry.message_id for inquiry in asked.inquiries] == [channel.provider.calls[0].message_id]
    assert [attempt.outcome for attempt in row.attempts] == ["unknown", "accepted"]


@pytest.mark.parametrize("category", CATEGORIES)
async def test_what_the_provider_asked_never_took_is_sent_without_a_mark(
    open_channel: OpenChannel, category: str
) -> None:
    asked = Asked(Finding.NOT_TAKEN)
    channel, request = await opened(open_channel, UNKNOWN, recourse=Recourse(ask=asked), category=category)

    await channel.deliver(request)
    await go_on(channel, request)
    await go_on(channel, request)

    row = await channel.row(request)
    assert row.state is DeliveryState.SENT
    assert not row.possible_duplicate
    assert len(channel.provider.calls) == 2
    assert [attempt.outcome for attempt in row.attempts] == ["unknown", "not_taken", "accepted"]


async def test_a_callback_that_comes_within_the_minute_settles_it(open_channel: OpenChannel) -> None:
    channel, request = await opened(open_channel, UNKNOWN, recourse=CALLS_BACK, category="promotional")
    await channel.deliver(request)
    waiting = await channel.row(request)
    assert waiting.doubt is DoubtStep.AWAIT_CALLBACK
    assert waiting.due_in_s is not None
    assert 50 < waiting.due_in_s <= 60

    await channel.ledger.settle(
        SettledAttempt(
            key=waiting.key,
            attempt=1,
            settlement=Settlement(state=DeliveryState.SENT),
            provider_message_id="from-the-callback",
            problem=None,
            entry=Attempt(
                number=1,
                provider="scripted",
                outcome="accepted",
                problem=None,
                started_at=waiting.updated_at,
                duration_ms=0,
            ),
        )
    )
    await go_on(channel, request)

    row = await channel.row(request)
    assert (row.state, row.provider_message_id) == (DeliveryState.SENT, "from-the-callback")
    assert len(channel.provider.calls) == 1


@pytest.mark.parametrize(
    ("category", "calls", "state"),
    [("transactional", 2, DeliveryState.SENT), ("promotional", 1, DeliveryState.UNKNOWN)],
)
async def test_without_a_callback_the_category_decides_and_never_in_silence(
    open_channel: OpenChannel, category: str, calls: int, state: DeliveryState
) -> None:
    channel, request = await opened(open_channel, UNKNOWN, recourse=CALLS_BACK, category=category)
    await channel.deliver(request)

    await go_on(channel, request)
    await go_on(channel, request)

    row = await channel.row(request)
    assert row.state is state
    assert row.possible_duplicate is (calls == 2)
    assert len(channel.provider.calls) == calls


async def test_a_security_message_waits_for_no_callback(open_channel: OpenChannel) -> None:
    channel, request = await opened(open_channel, UNKNOWN, recourse=CALLS_BACK, category="security")

    await channel.deliver(request)

    row = await channel.row(request)
    assert row.doubt is None
    assert row.possible_duplicate
    assert row.due_in_s is not None
    assert row.due_in_s <= 0


async def test_all_steps_are_taken_in_their_order(open_channel: OpenChannel) -> None:
    asked = Asked(Finding.NO_ANSWER)
    recourse = Recourse(same_key=timedelta(hours=24), ask=asked, calls_back=True)
    channel, request = await opened(open_channel, *[UNKNOWN] * 4, recourse=recourse)
    steps = []

    await channel.deliver(request)
    for _ in range(5):
        steps.append((await channel.row(request)).doubt)
        await go_on(channel, request)

    assert steps == [
        *[DoubtStep.SAME_KEY] * 3,
        DoubtStep.ASK,
        DoubtStep.AWAIT_CALLBACK,
    ]
    row = await channel.row(request)
    # Four calls are all there are: nothing is left to repeat.
    assert row.state is DeliveryState.UNKNOWN
    assert (len(channel.provider.calls), len(asked.inquiries)) == (4, 1)


@pytest.mark.parametrize("category", ["security", "promotional"])
async def test_while_the_provider_is_away_a_promotion_waits_for_it_and_a_security_message_does_not(
    open_channel: OpenChannel, category: str
) -> None:
    other = ScriptedProvider(name="other")
    channel, request = await opened(open_channel, UNKNOWN, recourse=KEYS, others=(other,), category=category)
    await channel.deliver(request)
    turn = channel.rota.try_turn_at("scripted")
    assert turn is not None
    channel.rota.finish(turn, Throttled(after_s=60, problem=PROBLEM))

    await go_on(channel, request)

    row = await channel.row(request)
    assert row.state is DeliveryState.RETRYING
    assert row.possible_duplicate is (category == "security")
    assert row.doubt is (None if category == "security" else DoubtStep.SAME_KEY)
    await go_on(channel, request)
    assert len(other.calls) == (1 if category == "security" else 0)


async def test_an_end_that_was_decided_before_a_call_does_not_cover_what_came_of_it(
    open_channel: OpenChannel,
) -> None:
    channel, request = await opened(
        open_channel, Retryable(problem=PROBLEM), UNKNOWN, recourse=CALLS_BACK, category="promotional"
    )
    await channel.deliver(request)
    before = await channel.row(request)
    await go_on(channel, request)
    suppressed = Conclusion(
        opening=Opening(key=before.key, targets=1, request=before.request or b"", correlation_id="c-1"),
        attempt=before.attempt,
        state=DeliveryState.SUPPRESSED,
        problem=PROBLEM,
    )

    assert await channel.ledger.conclude(suppressed) is None

    row = await channel.row(request)
    assert (row.state, row.doubt) == (DeliveryState.RETRYING, DoubtStep.AWAIT_CALLBACK)


async def test_a_provider_denies_its_own_call_and_not_anothers(open_channel: OpenChannel) -> None:
    asked = Asked(Finding.NOT_TAKEN)
    other = ScriptedProvider(
        UNKNOWN, *[Retryable(problem=PROBLEM)] * 2, name="other", recourse=Recourse(ask=asked)
    )
    channel, request = await opened(
        open_channel, UNKNOWN, Retryable(problem=PROBLEM), recourse=Recourse(), others=(other,)
    )

    await channel.deliver(request)
    for _ in range(5):
        await go_on(channel, request)

    row = await channel.row(request)
    assert [attempt.outcome for attempt in row.attempts][:3] == ["unknown", "unknown", "not_taken"]
    assert row.state is DeliveryState.UNKNOWN
    assert row.possible_duplicate


async def test_a_promotion_that_comes_back_after_days_is_not_sent_by_a_key_that_nobody_knows(
    open_channel: OpenChannel,
) -> None:
    channel, request = await opened(open_channel, UNKNOWN, recourse=KEYS, category="promotional")
    await channel.deliver(request)
    async with channel.database.connection() as connection:
        await connection.execute(
            "UPDATE deliveries SET attempts = jsonb_set(attempts, '{0,started_at}', to_jsonb($1::text))",
            (datetime.now(UTC) - timedelta(days=5)).isoformat(),
        )

    await go_on(channel, request)

    assert (await channel.row(request)).state is DeliveryState.UNKNOWN
    assert len(channel.provider.calls) == 1
