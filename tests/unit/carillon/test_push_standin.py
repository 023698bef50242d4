"""The push stand-in takes what FCM takes, refuses what FCM refuses, and says it in FCM's words."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI

from carillon.push_standin.api import PushStandin, standin_routes
from carillon.push_standin.message_rules import _MESSAGES
from carillon.push_standin.oauth import GRANT, LIFETIME_S, AccessTokens, token_route
from carillon.push_standin.service_account import (
    PROJECT,
    make_private_key,
    read_service_account,
    service_account_json,
)

SPECIFICATION = (
    Path(__file__).parents[4] / "shared" / "conformance" / "specs" / "google_fcm.v1.discovery.json"
)
PRIVATE_KEY = make_private_key()
ACCOUNT = read_service_account(service_account_json(private_key=PRIVATE_KEY, base_url="http://push.test"))
SEND = f"/v1/projects/{PROJECT}/messages:send"
Json = dict[str, object]


def an_assertion(*, key: object = PRIVATE_KEY, **changes: object) -> str:
    now = int(time.time())
    claims = {
        "iss": ACCOUNT.client_email,
        "aud": ACCOUNT.token_uri,
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "iat": now,
        "exp": now + 3600,
    } | changes
    return jwt.encode(claims, key, algorithm="RS256")  # type: ignore[arg-type] # a foreign key, too


def a_message(**changes: object) -> Json:
    return {"message": {"token": "anns-phone", "notification": {"title": "Hi", "body": "Ann"}} | changes}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    tokens = AccessTokens()
    standin = PushStandin(project=PROJECT, capacity=3, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    app = FastAPI()
    app.include_router(token_route(ACCOUNT, tokens))
    app.include_router(standin_routes(standin, tokens))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://push.test") as made:
        made.headers["Authorization"] = f"Bearer {tokens.issue()}"
        yield made


async def test_an_assertion_of_the_service_account_buys_a_token_that_sends(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/token", data={"grant_type": GRANT, "assertion": an_assertion()})
    assert answer.json()["token_type"] == "Bearer"
    sent = await client.post(
        SEND, json=a_message(), headers={"Authorization": f"Bearer {answer.json()['access_token']}"}
    )
    assert sent.status_code == 200
    assert sent.json()["name"].startswith(f"projects/{PROJECT}/messages/")


@pytest.mark.parametrize(
    "assertion",
    [
        an_assertion(key=rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        an_assertion(aud="https://elsewhere.example/token"),
        an_assertion(iss="somebody@else"),
        an_assertion(exp=1),
        an_assertion(exp=int(time.time()) + 7200),
        an_assertion(scope="https://www.googleapis.com/auth/drive"),
        "not.a.token",
        "",
    ],
)
async def test_any_other_assertion_buys_nothing(assertion: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/token", data={"grant_type": GRANT, "assertion": assertion})
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_grant", "invalid_scope")


async def test_without_a_good_token_nothing_is_sent(client: httpx.AsyncClient) -> None:
    answer = await client.post(SEND, json=a_message(), headers={"Authorization": "Bearer forged"})
    assert answer.status_code == 401
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
    assert (await client.get("/api/v1/messages")).json()["total"] == 0


def test_a_token_ends_with_its_hour() -> None:
    now = 1000.0
    tokens = AccessTokens(time_s=lambda: now)
    token = tokens.issue()
    now += LIFETIME_S - 1
    assert tokens.good(f"Bearer {token}")
    now += 2
    assert not tokens.good(f"Bearer {token}")


@pytest.mark.parametrize(
    ("token", "http_status", "error_code"),
    [
        ("unregistered-1", 404, "UNREGISTERED"),
        ("invalid-1", 400, "INVALID_ARGUMENT"),
        ("mismatched-1", 403, "SENDER_ID_MISMATCH"),
        ("throttled-1", 429, "QUOTA_EXCEEDED"),
        ("unavailable-1", 503, "UNAVAILABLE"),
        ("internal-1", 500, "INTERNAL"),
    ],
)
async def test_a_device_token_can_ask_for_each_of_fcms_errors(
    token: str, http_status: int, error_code: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post(SEND, json=a_message(token=token))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (http_status, http_status)
    assert error["details"][0] == {
        "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
        "errorCode": error_code,
    }
    assert ("retry-after" in answer.headers) is (http_status == 429)


@pytest.mark.parametrize(
    ("request_body", "said"),
    [
        (a_message(titel="x"), "Unknown name \"titel\" at 'message'"),
        ({"message": {"token": "a"}, "dry_run": True}, 'Unknown name "dry_run"'),
        (a_message(data={"count": 1}), "message.data"),
        (a_message(data={"from": "x"}), "Invalid data payload key: from"),
        (a_message(data={"k": "x" * 5000}), "too big"),
        (a_message(android={"priority": "URGENT"}), "message.android.priority"),
        (a_message(android={"ttl": 60}), "message.android.ttl"),
        (a_message(notification={"title": None, "body": 5}), "message.notification.body"),
        (a_message(apns={"payload": "aps"}), "message.apns.payload"),
        (a_message(topic="news"), "More than one target"),
        ({"message": {"notification": {"title": "x"}}}, "Recipient of the message is not set"),
        ({}, "message is not set"),
        ([], "not an object"),
    ],
)
async def test_what_fcm_would_refuse_is_refused(
    request_body: object, said: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post(SEND, json=request_body)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert said in answer.json()["error"]["message"]
    assert (await client.get("/api/v1/messages")).json()["total"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b'{"message":' + b"[" * 100_000, b"\xff"])
async def test_broken_json_is_refused(body: bytes, client: httpx.AsyncClient) -> None:
    assert (await client.post(SEND, content=body)).status_code == 400


async def test_both_spellings_of_a_field_are_taken(client: httpx.AsyncClient) -> None:
    for android in ({"collapseKey": "a"}, {"collapse_key": "a"}, {"priority": "high", "ttl": "3.5s"}):
        assert (await client.post(SEND, json=a_message(android=android))).status_code == 200


async def test_what_came_is_shown_newest_first_and_bounded(client: httpx.AsyncClient) -> None:
    for number in range(4):
        await client.post(SEND, json=a_message(token=f"phone-{number}", data={"n": str(number)}))
    await client.post(SEND, json=a_message() | {"validateOnly": True})
    page = (await client.get("/api/v1/messages", params={"limit": 2})).json()
    assert (page["total"], page["count"]) == (3, 2)
    newest = page["messages"][0]
    assert (newest["token"], newest["title"], newest["data"]) == ("phone-3", "Hi", {"n": "3"})
    assert newest["message"]["notification"] == {"title": "Hi", "body": "Ann"}


async def test_another_project_is_not_served(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/projects/other/messages:send", json=a_message())).status_code == 403


def test_every_field_that_is_known_here_stands_in_the_official_description() -> None:
    if not SPECIFICATION.exists():
        pytest.skip("the conformance material is not beside this checkout")
    official = json.loads(SPECIFICATION.read_text())["schemas"]
    for name, fields in _MESSAGES.items():
        assert set(fields) <= set(official[name]["properties"]), name
