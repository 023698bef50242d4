"""Accounts through the gateway: registering, logging in, staying logged in."""

import asyncio

import httpx
import jwt
import pytest

from tests.builders import a_registration
from tests.integration.user_service.gateway import Gateway, running_gateway, settings_for


async def test_registered_person_logs_in_and_reads_themselves(gateway: Gateway) -> None:
    registration = a_registration()
    registered = await gateway.anonymous.post("/auth/register", json=registration)
    assert registered.status_code == 201, registered.text
    assert registered.headers["Location"] == f"/api/v1/users/{registered.json()['id']}"
    assert registered.json()["role"] == "user"
    assert registered.json()["email_verified"] is False
    assert "password" not in registered.text

    answer = await gateway.log_in(registration["email"].upper(), registration["password"])
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["token_type"] == "bearer"
    assert answer.json()["expires_in"] == 86_400

    me = await gateway.with_bearer(answer.json()["access_token"]).get("/users/me")
    assert me.status_code == 200, me.text
    assert me.json() == registered.json()


async def test_second_account_with_an_address_is_refused_in_any_case(gateway: Gateway) -> None:
    registration = a_registration()
    await gateway.anonymous.post("/auth/register", json=registration)
    again = {**registration, "email": registration["email"].replace("person", "PERSON")}
    refused = await gateway.anonymous.post("/auth/register", json=again)
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:carillon:problem:email_taken"
    assert refused.json()["instance"] == "/api/v1/auth/register"


async def test_ten_at_once_with_one_address_make_one_account(internal: httpx.AsyncClient) -> None:
    registration = a_registration()
    answers = await asyncio.gather(*(internal.post("/auth/register", json=registration) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9


async def test_registering_does_not_take_over_a_recipient(gateway: Gateway) -> None:
    admin = await gateway.person("admin")
    registration = a_registration()
    recipient = await admin.client.post("/users", json={"name": "Ann", "email": registration["email"]})
    registered = await gateway.anonymous.post("/auth/register", json=registration)
    assert registered.status_code == 201
    assert registered.json()["id"] != recipient.json()["id"]


async def test_unknown_person_and_wrong_password_are_answered_alike(gateway: Gateway) -> None:
    person = await gateway.person()
    wrong = await gateway.log_in(person.email, "not the password")
    unknown = await gateway.log_in("nobody-at-all@example.com", "not the password")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.headers["WWW-Authenticate"] == "Bearer"
    differing = {"correlation_id"}
    assert {name: value for name, value in wrong.json().items() if name not in differing} == {
        name: value for name, value in unknown.json().items() if name not in differing
    }


async def test_recipient_without_password_cannot_log_in(gateway: Gateway) -> None:
    admin = await gateway.person("admin")
    email = a_registration()["email"]
    await admin.client.post("/users", json={"name": "Ann", "email": email})
    assert (await gateway.log_in(email, "nobody")).status_code == 401


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"username": "ann@example.com"},
        {"username": "ann@example.com", "password": "x", "grant_type": "client_credentials"},
        {"username": "ann@example.com", "password": "x" * 1_025},
        {"username": "a\x00nn@example.com", "password": "x"},
    ],
)
async def test_form_that_is_none_is_refused(gateway: Gateway, form: dict[str, str]) -> None:
    answer = await gateway.anonymous.post("/auth/token", data=form or {"nothing": "here"})
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_token_route_takes_a_form_only(gateway: Gateway) -> None:
    answer = await gateway.anonymous.post("/auth/token", json={"username": "a", "password": "b"})
    assert answer.status_code in {415, 422}


async def test_refresh_rotates_and_a_used_token_ends_the_family(gateway: Gateway) -> None:
    person = await gateway.person()
    first = person.refresh_token
    second = (await _refresh(gateway, first)).json()["refresh_token"]
    third = await _refresh(gateway, second)
    assert third.status_code == 200
    assert (await gateway.with_bearer(third.json()["access_token"]).get("/users/me")).json()[
        "id"
    ] == person.id

    assert (await _refresh(gateway, first)).status_code == 401
    assert (await _refresh(gateway, third.json()["refresh_token"])).status_code == 401


async def test_end_of_a_family_leaves_other_logins_alone(gateway: Gateway) -> None:
    person = await gateway.person()
    other = (await gateway.log_in(person.email, person.password)).json()["refresh_token"]
    await _refresh(gateway, person.refresh_token)
    await _refresh(gateway, person.refresh_token)
    assert (await _refresh(gateway, other)).status_code == 200


async def test_one_token_used_many_times_at_once_is_good_once_at_most(gateway: Gateway) -> None:
    person = await gateway.person()
    answers = await asyncio.gather(*(_refresh(gateway, person.refresh_token) for _ in range(8)))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert {answer.status_code for answer in answers} == {200, 401}
    assert (await _refresh(gateway, won[0].json()["refresh_token"])).status_code == 401


async def test_logout_ends_the_family_and_can_be_repeated(gateway: Gateway) -> None:
    person = await gateway.person()
    for _ in range(2):
        answer = await gateway.anonymous.post("/auth/logout", json={"refresh_token": person.refresh_token})
        assert answer.status_code == 204
    assert (await _refresh(gateway, person.refresh_token)).status_code == 401


async def test_key_set_checks_tokens_without_asking_anybody(gateway: Gateway) -> None:
    person = await gateway.person("admin")
    answer = await gateway.anonymous.get("http://gateway/.well-known/jwks.json")
    assert answer.status_code == 200
    keys = jwt.PyJWKSet.from_dict(answer.json())
    token = person.client.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, keys.keys[0], algorithms=["EdDSA", "ES256"], audience="carillon")
    assert claims["sub"] == person.id
    assert claims["iss"] == "carillon"
    assert set(answer.json()["keys"][0]) == {"kty", "crv", "x", "kid", "alg", "use"}


@pytest.mark.parametrize(
    "authorization", ["", "Basic YTpi", "Bearer", "Bearer ", "Bearer x.y.z", "Bearer ck_live_x"]
)
async def test_without_valid_credentials_nothing_is_answered(gateway: Gateway, authorization: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = await gateway.anonymous.get("/users/me", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_failed_logins_are_limited_per_account_and_others_are_not(
    user_app: httpx.ASGITransport, internal: httpx.AsyncClient, redis_url: str
) -> None:
    settings = settings_for(redis_url=redis_url, token_failure_rate="3/minute", token_rate="1000/minute")
    async with running_gateway(user_app, internal, settings) as gateway:
        victim, other = await gateway.person(), await gateway.person()
        statuses = [(await gateway.log_in(victim.email, "wrong password")).status_code for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        locked = await gateway.log_in(victim.email, victim.password)
        assert locked.status_code == 429
        assert int(locked.headers["Retry-After"]) >= 1
        assert (await gateway.log_in(other.email, other.password)).status_code == 200


async def test_registrations_are_limited_and_say_how_much_is_left(
    user_app: httpx.ASGITransport, internal: httpx.AsyncClient, redis_url: str
) -> None:
    settings = settings_for(redis_url=redis_url, register_rate="2/minute")
    async with running_gateway(user_app, internal, settings) as gateway:
        answers = [await gateway.anonymous.post("/auth/register", json=a_registration()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert [answer.headers["RateLimit-Policy"] for answer in answers] == ['"register";q=2;w=60'] * 3
    assert [answer.headers["RateLimit"].split(";")[1] for answer in answers] == ["r=1", "r=0", "r=0"]


async def test_without_redis_nobody_is_limited(
    user_app: httpx.ASGITransport, internal: httpx.AsyncClient
) -> None:
    async with running_gateway(user_app, internal, settings_for(register_rate="1/minute")) as gateway:
        answers = [await gateway.anonymous.post("/auth/register", json=a_registration()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3


async def test_user_service_away_is_said_with_503(gateway: Gateway) -> None:
    person = await gateway.person()
    await person.client.get("/users/me")
    gateway.user_service.is_cut = True
    for answer in (
        await gateway.log_in(person.email, person.password),
        await gateway.anonymous.post("/auth/register", json=a_registration()),
        await person.client.get("/users/me"),
        await gateway.with_bearer("ck_live_" + "a" * 43).get("/users/me"),
    ):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1


async def test_a_crowd_that_logs_in_holds_up_nothing_else(gateway: Gateway) -> None:
    """Neither by the connections it takes, nor by being turned away in the end."""
    admin = await gateway.person("admin")
    keys = [await gateway.api_key(admin, "users:read") for _ in range(2)]
    gateway.user_service.crowd = asyncio.Event()
    crowd = [asyncio.create_task(gateway.log_in(f"{n}@example.com", "x" * 12)) for n in range(40)]
    async with asyncio.timeout(10):
        while gateway.user_service.waiting < 20:
            await asyncio.sleep(0.01)
    meanwhile = await gateway.with_bearer(keys[0]).get(f"/users/{admin.id}")
    gateway.user_service.crowd.set()
    assert {answer.status_code for answer in await asyncio.gather(*crowd)} == {503}
    assert meanwhile.status_code == 200
    assert (await gateway.with_bearer(keys[1]).get(f"/users/{admin.id}")).status_code == 200


async def test_internal_routes_take_a_service_token_only(user_app: httpx.ASGITransport) -> None:
    async with httpx.AsyncClient(transport=user_app, base_url="http://user_service") as anybody:
        for authorization in ("", "Bearer x", "Bearer ck_live_" + "a" * 43):
            headers = {"Authorization": authorization} if authorization else {}
            answer = await anybody.post("/internal/v1/recipients/lookup", json={}, headers=headers)
            assert answer.status_code == 401
        assert (await anybody.get("/health")).status_code == 200
        assert (await anybody.get("/ready")).status_code == 200


async def _refresh(gateway: Gateway, token: str) -> httpx.Response:
    return await gateway.anonymous.post("/auth/refresh", json={"refresh_token": token})
