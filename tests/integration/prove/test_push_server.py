"""The fake FCM: over real HTTP, and as the product's own provider meets it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from carillon.embedded.ports import free_port
from carillon.prove.witness.behaviour import Do, Rule
from carillon.prove.witness.control import Command, ControlFailure
from carillon.prove.witness.push_server import push_server
from push_service.providers.fcm import FcmProvider, read_service_account
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown
from shared.process.clock import SystemClock
from tests.channels.calls import a_push_call
from tests.channels.smtp_support import summary
from tests.integration.prove.providers import WITHIN_S, Running, a_place, started

EXPECTED: dict[Do, tuple[type[Outcome], str, int]] = {
    Do.ACCEPT: (Accepted, "", 1),
    Do.SLOW: (Accepted, "", 1),
    Do.ACCEPT_RESET: (Unknown, "provider.disconnected", 1),
    Do.GARBAGE: (Unknown, "provider.unclear", 1),
    Do.RESET: (Unknown, "provider.disconnected", 0),
    Do.THROTTLE: (Throttled, "provider.throttled", 0),
    Do.REFUSE_TEMPORARILY: (Retryable, "provider.unavailable", 0),
    Do.TROUBLE: (Retryable, "provider.unavailable", 0),
    Do.REFUSE: (Rejected, "address.unregistered", 0),
}
STATUSES = {
    Do.THROTTLE: (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    Do.REFUSE_TEMPORARILY: (503, "UNAVAILABLE", "UNAVAILABLE"),
    Do.TROUBLE: (500, "INTERNAL", "INTERNAL"),
    Do.REFUSE: (404, "NOT_FOUND", "UNREGISTERED"),
}
"""firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode"""
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


@pytest.fixture
def account(tmp_path: Path) -> Path:
    return tmp_path / "account.json"


@pytest.fixture
async def server(tmp_path: Path, account: Path) -> AsyncIterator[Running]:
    place = a_place(tmp_path)
    async with push_server(place, account=account) as provider:
        yield Running(port=provider.port, place=place)


@asynccontextmanager
async def provider_of(port: int, account: Path) -> AsyncIterator[FcmProvider]:
    url = f"http://127.0.0.1:{port}"
    provider = FcmProvider(partial(read_service_account, account), url=url, clock=SystemClock(), timeout_s=5)
    try:
        yield provider
    finally:
        await provider.close()


@asynccontextmanager
async def authorised(port: int, account: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a bearer."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        answer = await client.post("/token", data=a_grant(account))
        assert (answer.status_code, answer.json()["token_type"]) == (200, "Bearer")
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


def a_grant(account: Path, *, key: object = None, **claims: object) -> dict[str, str]:
    known = read_service_account(account)
    now = int(SystemClock().now().timestamp())
    scope = "https://www.googleapis.com/auth/firebase.messaging"
    all_claims = {
        "iss": known.client_email,
        "scope": scope,
        "aud": known.token_uri,
        "iat": now,
        "exp": now + 3600,
    }
    signed = jwt.encode(all_claims | claims, key or known.private_key, algorithm="RS256")  # type: ignore[arg-type]
    return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed}


def send_path(account: Path) -> str:
    return f"/v1/projects/{read_service_account(account).project_id}/messages:send"


def mark_of(do: Do) -> str:
    # By number, since the name of one is a part of another's.
    return f"mark{list(Do).index(do):04d}"


async def test_the_products_provider_takes_each_rule_for_what_it_is(server: Running, account: Path) -> None:
    await server.rules(*(Rule(do=do, match=mark_of(do), seconds=0.05) for do in EXPECTED))
    async with provider_of(server.port, account) as provider:
        for do, (outcome, kind, effects) in EXPECTED.items():
            mark = mark_of(do)
            got = await provider.send(a_push_call(body=f"Hello, proof-mark:{mark}"))
            assert summary(got) == (outcome, kind), do
            assert server.effects().count(mark) == effects, do
            assert server.calls().count((mark, do.value)) == 1 - effects, do


async def test_a_throttled_sender_is_told_for_how_long(server: Running, account: Path) -> None:
    await server.rules(Rule(do=Do.THROTTLE, recipient="device-7", seconds=6.5))
    async with provider_of(server.port, account) as provider:
        outcome = await provider.send(a_push_call(token="device-7"))
        assert isinstance(await provider.send(a_push_call(token="device-8")), Accepted)
    assert isinstance(outcome, Throttled)
    assert outcome.after_s == 7.0


async def test_answers_have_googles_shape(server: Running, account: Path) -> None:
    await server.rules(*(Rule(do=do, recipient=do.value) for do in STATUSES))
    path = send_path(account)
    async with authorised(server.port, account) as client:
        answer = await client.post(
            path, json={"message": {"token": "t", "data": {"m": "proof-mark:eeeeeeee"}}}
        )
        assert re.fullmatch(r"projects/[^/]+/messages/[^/]+", answer.json()["name"])
        assert server.effects() == ["eeeeeeee"]
        for do, (code, status, error_code) in STATUSES.items():
            answer = await client.post(path, json={"message": {"token": do.value}})
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["status"]) == (code, code, status)
            assert {"@type": FCM_ERROR, "errorCode": error_code} in error["details"]


async def test_what_is_no_message_is_an_invalid_argument(server: Running, account: Path) -> None:
    async with authorised(server.port, account) as client:
        for body in (
            b"",
            b"[]",
            b'{"message":1}',
            b'{"message":{}}',
            b'{"message":{"token":"t"},"x":1}',
            b"\xff",
        ):
            answer = await client.post(send_path(account), content=body)
            assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), body
    assert server.effects() == []


async def test_only_who_holds_the_accounts_key_gets_a_token(server: Running, account: Path) -> None:
    assert account.stat().st_mode & 0o777 == 0o600
    strangers = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    wrong: list[tuple[dict[str, str], str]] = [
        (a_grant(account, key=strangers), "invalid_grant"),
        (a_grant(account, aud="https://example.com"), "invalid_grant"),
        (a_grant(account, exp=1), "invalid_grant"),
        (a_grant(account, scope="openid"), "invalid_scope"),
        (a_grant(account) | {"grant_type": "password"}, "unsupported_grant_type"),
    ]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
        for form, error in wrong:
            answer = await client.post("/token", data=form)
            assert (answer.status_code, answer.json()["error"]) == (400, error)
        without = await client.post(send_path(account), json={"message": {"token": "t"}})
        assert (without.status_code, without.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert server.calls() == [("", "refuse_credentials")]


async def test_another_projects_messages_and_other_paths_are_refused(server: Running, account: Path) -> None:
    async with authorised(server.port, account) as client:
        other = await client.post("/v1/projects/other/messages:send", json={"message": {"token": "t"}})
        assert (other.status_code, (await client.get(send_path(account))).status_code) == (403, 404)


@pytest.mark.parametrize(("do", "effects"), [(Do.HANG, 0), (Do.ACCEPT_SILENT, 1)])
async def test_what_hangs_is_counted_until_it_is_released(
    server: Running, account: Path, do: Do, effects: int
) -> None:
    await server.rules(Rule(do=do))
    async with provider_of(server.port, account) as provider:
        sending = asyncio.create_task(provider.send(a_push_call()))
        counts = await server.until(lambda counts: counts.hanging == 1)
        assert (counts.calls, counts.effects) == (1, effects)
        await server.order(Command(release=True))
        assert summary(await sending) == (Unknown, "provider.disconnected")


async def test_pipelined_requests_are_answered_in_order_however_they_are_cut(server: Running) -> None:
    requests = b"".join(
        b"POST %s HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}" % path for path in (b"/x", b"/token")
    )
    requests += b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
    for at_once in (len(requests), 7, 1):
        answers = await answers_to(server.port, requests, at_once=at_once)
        assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"404", b"400", b"404"]


async def test_a_request_it_cannot_take_ends_the_connection(server: Running) -> None:
    for head, status in (
        (b"nonsense", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1000000", b"413"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked", b"411"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, b"431"),
    ):
        answers = await answers_to(server.port, head + b"\r\n\r\n", at_once=len(head) + 4)
        assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [status]


async def answers_to(port: int, requests: bytes, *, at_once: int) -> bytes:
    """Until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for start in range(0, len(requests), at_once):
        writer.write(requests[start : start + at_once])
        await writer.drain()
    answers = await asyncio.wait_for(reader.read(), WITHIN_S)
    writer.close()
    return answers


async def test_what_only_a_mail_server_does_is_refused(server: Running) -> None:
    for command in (Command(keys=5), Command(rules=(Rule(do=Do.REFUSE_GREETING),))):
        with pytest.raises(ControlFailure, match="mail server"):
            await server.order(command)


async def test_as_a_process_it_may_be_killed_and_be_another_with_a_new_key(
    tmp_path: Path, account: Path
) -> None:
    place = a_place(tmp_path, port=free_port())
    running = Running(port=place.port, place=place)
    async with provider_of(place.port, account) as provider:
        for sent in (1, 2):
            async with started("push_server", place, "--account", str(account)) as process:
                assert isinstance(await provider.send(a_push_call(title="proof-mark:ffffffff")), Accepted)
                process.kill()
                await asyncio.wait_for(process.wait(), WITHIN_S)
            assert running.effects() == ["ffffffff"] * sent
    assert msgspec.json.decode(account.read_bytes(), type=dict[str, str])["type"] == "service_account"
