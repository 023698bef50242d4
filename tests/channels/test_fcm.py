"""The FCM provider over real HTTP, to a stand-in that misbehaves to order."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from push_service.providers.fcm import FcmProvider, read_service_account
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown
from tests.channels.calls import a_push_call
from tests.fakes.fcm import FakeFcm, error_answer
from tests.fakes.http import Answer, FakeHttpServer, Garbage, Hang, Request, Reset, Response


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


@pytest.fixture
async def fcm() -> AsyncIterator[FakeFcm]:
    async with FakeFcm() as running:
        yield running


@pytest.fixture
def account(fcm: FakeFcm, tmp_path: Path) -> Path:
    return fcm.write_account(tmp_path)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@asynccontextmanager
async def provider_for(
    url: str,
    account: Path | None,
    *,
    clock: SetClock | None = None,
    timeout_s: float = 5.0,
    connections: int = 8,
) -> AsyncIterator[FcmProvider]:
    provider = FcmProvider(
        partial(read_service_account, account),
        url=url,
        clock=clock or SetClock(),
        connections=connections,
        timeout_s=timeout_s,
    )
    try:
        yield provider
    finally:
        await provider.close()


@pytest.fixture
async def provider(fcm: FakeFcm, account: Path, clock: SetClock) -> AsyncIterator[FcmProvider]:
    async with provider_for(fcm.url, account, clock=clock) as made:
        yield made


def summary(outcome: Outcome) -> tuple[type[Outcome], str]:
    return type(outcome), "" if isinstance(outcome, Accepted) else outcome.problem.kind


async def test_notification_arrives_as_it_was_written(fcm: FakeFcm, provider: FcmProvider) -> None:
    call = a_push_call(title="Größe 38", body="ist da 😀")
    assert await provider.send(call) == Accepted(provider_message_id="projects/carillon-test/messages/1")
    message = fcm.messages[0].body["message"]
    assert isinstance(message, dict)
    assert message["token"] == "device-token-1"
    assert message["notification"] == {"title": "Größe 38", "body": "ist da 😀"}
    assert message["data"] == {"notification_id": str(call.notification_id)}
    assert message["android"]["priority"] == "HIGH"


async def test_promotion_wakes_no_device(fcm: FakeFcm, provider: FcmProvider) -> None:
    await provider.send(a_push_call(category="promotional"))
    message = fcm.messages[0].body["message"]
    assert isinstance(message, dict)
    assert message["android"]["priority"] == "NORMAL"
    assert message["apns"]["headers"]["apns-priority"] == "5"
    assert message["webpush"]["headers"]["Urgency"] == "normal"


async def test_second_copy_takes_the_place_of_the_first(fcm: FakeFcm, provider: FcmProvider) -> None:
    call = a_push_call()
    fcm.order("send", Reset())
    assert isinstance(await provider.send(call), Unknown)
    assert isinstance(await provider.send(call), Accepted)
    first, second = (received.body["message"] for received in fcm.messages)
    assert first == second
    assert isinstance(first, dict)
    same = call.notification_id.hex
    assert first["android"]["notification"]["tag"] == same
    assert first["apns"]["headers"]["apns-collapse-id"] == same
    assert first["webpush"]["headers"]["Topic"] == same


async def test_access_token_is_fetched_once_for_many(fcm: FakeFcm, provider: FcmProvider) -> None:
    outcomes = await asyncio.gather(*(provider.send(a_push_call()) for _ in range(40)))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert fcm.tokens_given == 1
    assert len(fcm.messages) == 40
    assert fcm.connections <= 8


async def test_access_token_is_renewed_a_minute_before_it_expires(
    fcm: FakeFcm, provider: FcmProvider, clock: SetClock
) -> None:
    await provider.send(a_push_call())
    clock.time += timedelta(seconds=3599 - 61)
    await provider.send(a_push_call())
    assert fcm.tokens_given == 1
    clock.time += timedelta(seconds=1)
    await provider.send(a_push_call())
    assert fcm.tokens_given == 2


async def test_revoked_access_token_is_replaced_within_the_same_call(
    fcm: FakeFcm, provider: FcmProvider
) -> None:
    await provider.send(a_push_call())
    fcm.revoke_tokens()
    assert isinstance(await provider.send(a_push_call()), Accepted)
    assert fcm.tokens_given == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_access_refused_twice_burns_no_notification(
    fcm: FakeFcm, provider: FcmProvider, status: int
) -> None:
    refusal = error_answer(status, "PERMISSION_DENIED", message="bearer-2 has no permission")
    fcm.order("send", refusal, refusal)
    outcome = await provider.send(a_push_call())
    assert summary(outcome) == (Retryable, "provider.misconfigured")
    assert isinstance(outcome, Retryable)
    assert "bearer-2" not in outcome.problem.message
    assert fcm.tokens_given == 2
    assert isinstance(await provider.send(a_push_call()), Accepted)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error_answer(404, "NOT_FOUND", code="UNREGISTERED"), (Rejected, "address.unregistered")),
        (
            error_answer(400, "INVALID_ARGUMENT", code="INVALID_ARGUMENT", field="message.token"),
            (Rejected, "address.invalid"),
        ),
        (error_answer(403, "PERMISSION_DENIED", code="SENDER_ID_MISMATCH"), (Rejected, "address.refused")),
        (error_answer(500, "INTERNAL", code="INTERNAL"), (Retryable, "provider.unavailable")),
        (error_answer(503, "UNAVAILABLE", code="UNAVAILABLE"), (Retryable, "provider.unavailable")),
        (Response(status=200, body=b"<html>"), (Unknown, "provider.unclear")),
        (Response(status=502, body=b"bad gateway"), (Unknown, "provider.unclear")),
        (Response(status=503, body=b"<html>no upstream</html>"), (Unknown, "provider.unclear")),
        (
            Response(status=503, body=b"<html>", headers={"Retry-After": "30"}),
            (Throttled, "provider.unavailable"),
        ),
        (
            Response(status=307, headers={"Location": "http://127.0.0.1:1/"}),
            (Retryable, "provider.misconfigured"),
        ),
        (
            error_answer(401, "UNAUTHENTICATED", code="THIRD_PARTY_AUTH_ERROR"),
            (Retryable, "provider.misconfigured"),
        ),
        (
            Response(status=200, body=b"no gzip", headers={"Content-Encoding": "gzip"}),
            (Unknown, "provider.disconnected"),
        ),
        (Reset(), (Unknown, "provider.disconnected")),
        (Garbage(), (Unknown, "provider.disconnected")),
    ],
)
async def test_answer_has_its_outcome_and_the_next_notification_is_sent(
    fcm: FakeFcm, provider: FcmProvider, answer: Answer, expected: tuple[type[Outcome], str]
) -> None:
    fcm.order("send", answer)
    assert summary(await provider.send(a_push_call())) == expected
    assert isinstance(await provider.send(a_push_call()), Accepted)


async def test_quota_holds_as_long_as_fcm_asks(fcm: FakeFcm, provider: FcmProvider) -> None:
    quota = error_answer(
        429,
        "RESOURCE_EXHAUSTED",
        code="QUOTA_EXCEEDED",
        headers={"Retry-After": "Sun, 01 Mar 2026 12:02:00 GMT"},
    )
    fcm.order("send", quota)
    outcome = await provider.send(a_push_call())
    assert isinstance(outcome, Throttled)
    assert outcome.after_s == 120


async def test_silence_after_the_message_is_a_doubt(fcm: FakeFcm, account: Path) -> None:
    fcm.order("send", Hang())
    async with provider_for(fcm.url, account, timeout_s=1.0) as provider:
        await provider.check()
        assert summary(await provider.send(a_push_call())) == (Unknown, "provider.timeout")
        assert isinstance(await provider.send(a_push_call()), Accepted)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Hang(), "provider.timeout"),
        (Reset(), "provider.unavailable"),
        (Response(status=503), "provider.unavailable"),
        (Response(status=200, body=b"{}"), "provider.unavailable"),
        (Response(status=400, body=b'{"error": "invalid_grant"}'), "provider.misconfigured"),
    ],
)
async def test_no_access_token_is_no_doubt(fcm: FakeFcm, account: Path, answer: Answer, kind: str) -> None:
    fcm.order("token", answer)
    async with provider_for(fcm.url, account, timeout_s=2.0) as provider:
        assert summary(await provider.send(a_push_call())) == (Retryable, kind)
        assert not fcm.messages
        assert isinstance(await provider.send(a_push_call()), Accepted)


async def test_absent_fcm_can_be_tried_again(fcm: FakeFcm, account: Path) -> None:
    async with provider_for("http://127.0.0.1:1", account) as provider:
        assert summary(await provider.send(a_push_call())) == (Retryable, "provider.unreachable")


async def test_time_up_while_our_connections_are_busy_spends_no_attempt(fcm: FakeFcm, account: Path) -> None:
    fcm.order("send", Hang())
    async with provider_for(fcm.url, account, timeout_s=1.0, connections=1) as provider:
        await provider.check()
        first = asyncio.create_task(provider.send(a_push_call()))
        while not fcm.messages:
            await asyncio.sleep(0.01)
        assert summary(await provider.send(a_push_call(deadline_in_s=0.1))) == (Throttled, "provider.busy")
        assert isinstance(await first, Unknown)


async def test_connection_closed_while_idle_spends_no_attempt(fcm: FakeFcm, provider: FcmProvider) -> None:
    assert isinstance(await provider.send(a_push_call()), Accepted)
    await fcm.drop_connections()
    await asyncio.sleep(0.05)  # until the close has come over the loopback
    assert isinstance(await provider.send(a_push_call()), Accepted)


async def test_nothing_is_sent_after_the_deadline(fcm: FakeFcm, provider: FcmProvider) -> None:
    outcome = await provider.send(a_push_call(deadline_in_s=-0.001))
    assert summary(outcome) == (Retryable, "deadline.passed")
    assert fcm.connections == 0


async def test_check_says_when_the_token_endpoint_is_away_and_when_it_is_back(
    fcm: FakeFcm, provider: FcmProvider
) -> None:
    fcm.order("token", Response(status=503))
    with pytest.raises(ConnectionError, match="503"):
        await provider.check()
    await provider.check()
    await provider.check()
    assert fcm.tokens_given == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "not set"),
        ("", "not a service-account key"),
        ("{}", "not a service-account key"),
        (
            json.dumps({"project_id": "p", "client_email": "c", "private_key": "k3y", "token_uri": "t"}),
            "not an RSA key",
        ),
    ],
)
async def test_unusable_account_is_named_and_needs_no_restart(
    *, fcm: FakeFcm, tmp_path: Path, content: str | None, complaint: str
) -> None:
    path = tmp_path / "account.json"
    if content is not None:
        path.write_text(content)
    async with provider_for(fcm.url, None if content is None else path) as provider:
        with pytest.raises(ConnectionError, match=complaint):
            await provider.check()
        outcome = await provider.send(a_push_call())
        assert summary(outcome) == (Retryable, "provider.misconfigured")
        assert "k3y" not in repr(outcome)
        if content is not None:
            fcm.write_account(tmp_path)
            assert isinstance(await provider.send(a_push_call()), Accepted)


async def test_missing_key_file_is_named(fcm: FakeFcm, tmp_path: Path) -> None:
    async with provider_for(fcm.url, tmp_path / "nowhere.json") as provider:
        with pytest.raises(ConnectionError, match="No such file"):
            await provider.check()


def test_key_is_not_in_the_account_s_description(account: Path) -> None:
    assert "PRIVATE" not in repr(read_service_account(account))


async def test_silence_of_a_server_that_never_reads_is_a_doubt(fcm: FakeFcm, account: Path) -> None:
    async def unused(_: Request) -> Answer:
        return Hang()

    async with FakeHttpServer(unused, deaf=True) as deaf, provider_for(deaf.url, account, timeout_s=1.0) as p:
        await p.check()
        assert isinstance(await p.send(a_push_call()), Unknown)
