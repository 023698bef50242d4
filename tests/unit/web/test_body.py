"""Bodies that are too large, too slow, of the wrong type or not JSON never reach a route."""

import asyncio
import json
from collections.abc import AsyncIterator

import msgspec
import pytest
from starlette.types import Message, Receive, Scope, Send

from shared.web.body import MAX_JSON_DEPTH, MAX_MEMBERS, MAX_VALUES, BodyMiddleware, decode_json
from shared.web.problems import ApiProblem
from tests.unit.web.demo import client_of, demo_app

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{} x",
        b"\xef\xbb\xbf{}",
        '{"name": "a"}'.encode("utf-16"),
        b'{"name": "\xff"}',
        b'{"name": "\xed\xa0\x80"}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\x00"}',
        b'{"name": "a", "more": {"x": NaN}}',
        b'{"name": "a", "more": {"x": -Infinity}}',
        b'{"name": "a", "more": {"x": 1e999}}',
        b'{"name": "a", "count": ' + b"9" * 5000 + b"}",
        b"[" * 9_000,
        b'{"a":' * 1_900,
        b'{"name": "a", "more": {"x": ' + b"[" * 500 + b"]" * 500 + b"}}",
    ],
)
async def test_what_is_not_json_is_refused_cleanly(body: bytes) -> None:
    async with client_of(demo_app()) as client:
        response = await client.post("/api/v1/things/1", content=body, headers=JSON)
    assert response.status_code == 400
    assert response.json()["type"] == "urn:carillon:problem:malformed_json"


def test_json_100_000_deep_is_refused_cleanly() -> None:
    for body in (b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(ApiProblem) as caught:
            decode_json(body)
        assert caught.value.status == 400


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_depth_is_counted_exactly(opening: str) -> None:
    def nested(depth: int) -> bytes:
        closing = "]" if opening == "[" else "}"
        return (opening * depth + "1" + closing * depth).encode()

    assert decode_json(nested(MAX_JSON_DEPTH)) == json.loads(nested(MAX_JSON_DEPTH))
    with pytest.raises(ApiProblem):
        decode_json(nested(MAX_JSON_DEPTH + 1))


def test_many_shallow_entries_are_not_deep() -> None:
    entries = [{"variables": {"list": [1, 2]}} for _ in range(2_000)]
    assert decode_json(json.dumps(entries).encode()) == entries


@pytest.mark.parametrize(
    "value",
    [
        {f"k{number}": 1 for number in range(MAX_MEMBERS + 1)},
        [{"deep": {f"k{number}": 1 for number in range(MAX_MEMBERS + 1)}}],
        [0] * (MAX_VALUES + 1),
        [[0] * 1_000 for _ in range(MAX_VALUES // 1_000)],
    ],
)
def test_more_than_can_be_checked_in_no_time_is_refused(value: object) -> None:
    with pytest.raises(ApiProblem) as caught:
        decode_json(json.dumps(value).encode())
    assert (caught.value.status, caught.value.errors[0].field) == (422, "body")


def test_as_much_as_is_allowed_is_decoded() -> None:
    for value in ({f"k{number}": 1 for number in range(MAX_MEMBERS)}, [0] * MAX_VALUES):
        assert decode_json(json.dumps(value).encode()) == value


async def test_thousands_of_unknown_fields_are_one_error() -> None:
    async with client_of(demo_app()) as client:
        few = await client.post("/api/v1/things/1", json={"name": "a", **{f"k{n}": 1 for n in range(10)}})
        many = await client.post("/api/v1/things/1", json={f"k{number}": 1 for number in range(900)})
    assert (few.status_code, len(few.json()["errors"])) == (422, 10)
    assert (many.status_code, len(many.json()["errors"])) == (422, 1)


async def test_valid_json_reaches_the_route_unchanged() -> None:
    body = {"name": "Zoë 😀 \u2028", "count": 2**53, "more": {"x": [1.5, None, True, "\\"]}}
    async with client_of(demo_app()) as client:
        for headers in (JSON, {"Content-Type": 'Application/JSON; charset="UTF-8"'}):
            response = await client.post("/api/v1/things/1", content=json.dumps(body), headers=headers)
            assert (response.status_code, response.json()) == (200, body)
        assert (await client.post("/api/v1/raw", json=body)).json() == body


async def test_of_a_key_given_twice_the_last_counts() -> None:
    async with client_of(demo_app()) as client:
        content = b'{"name": "first", "name": "last"}'
        response = await client.post("/api/v1/things/1", content=content, headers=JSON)
    assert response.json()["name"] == "last"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/jsonp",
        "",
    ],
)
async def test_other_types_are_refused(content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    async with client_of(demo_app()) as client:
        response = await client.post("/api/v1/things/1", content=b'{"name": "a"}', headers=headers)
    assert response.status_code == 415
    assert response.headers["accept"] == "application/json"


async def test_the_form_route_takes_a_form_and_no_other_does() -> None:
    async with client_of(demo_app()) as client:
        assert (await client.post("/api/v1/form", data={"username": "ann"})).json() == "ann"
        assert (await client.post("/api/v1/form/", data={"username": "ann"})).status_code == 415
        as_json = await client.post("/api/v1/form", json={"username": "ann"})
    assert (as_json.status_code, as_json.headers["accept"]) == (415, "application/x-www-form-urlencoded")


async def test_below_a_folder_of_forms_everything_takes_one() -> None:
    async with client_of(demo_app()) as client:
        # No such route, that is: the body was taken.
        assert (await client.post("/pages/some/where", data={"name": "ann"})).status_code == 404
        assert (await client.post("/pages/some/where", json={"name": "ann"})).status_code == 415
        assert (await client.post("/pages", data={"name": "ann"})).status_code == 415


@pytest.mark.parametrize("coding", ["gzip", "identity, br", "Deflate"])
async def test_a_coded_body_is_refused(coding: str) -> None:
    async with client_of(demo_app()) as client:
        for value, status in ((coding, 415), ("identity", 200), ("", 200)):
            response = await client.post(
                "/api/v1/things/1", json={"name": "a"}, headers={"Content-Encoding": value}
            )
            assert response.status_code == status
            assert response.headers.get("accept-encoding") == ("identity" if status == 415 else None)


async def test_two_types_are_none() -> None:
    async with client_of(demo_app()) as client:
        for second, status in (("text/plain", 415), ("application/json", 200)):
            headers = [("Content-Type", "application/json"), ("Content-Type", second)]
            response = await client.post("/api/v1/things/1", content=b'{"name": "a"}', headers=headers)
            assert response.status_code == status


async def test_a_request_without_a_body_needs_no_type() -> None:
    async with client_of(demo_app()) as client:
        assert (await client.get("/api/v1/things/1")).status_code == 200
        assert (await client.post("/api/v1/things/1")).status_code == 422


async def test_a_body_that_is_too_large_is_refused_however_it_is_sent() -> None:
    async def chunks(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b" " * 1_000

    async with client_of(demo_app(max_body_bytes=10_000)) as client:
        for content in (b" " * 10_001, chunks(11), chunks(10_000)):
            response = await client.post("/api/v1/things/1", content=content, headers=JSON)
            assert response.status_code == 413
            assert response.headers["content-type"] == "application/problem+json"
        body = b'{"name": "a"}'
        exactly = body + b" " * (10_000 - len(body))
        assert (await client.post("/api/v1/things/1", content=exactly, headers=JSON)).status_code == 200


class Route:
    """An ASGI app that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        self.calls += 1


async def answer_of(
    middleware: BodyMiddleware, *, headers: dict[str, str], receive: Receive
) -> list[Message]:
    """What the middleware sends for a POST."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": raw}
    await middleware(scope, receive, send)
    return sent


async def test_a_body_that_does_not_come_is_given_up() -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    route = Route()
    middleware = BodyMiddleware(route, read_timeout_s=0.02)
    start, body = await answer_of(middleware, headers={"content-length": "10"}, receive=receive)
    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    assert msgspec.json.decode(body["body"])["type"] == "urn:carillon:problem:request_timeout"
    assert route.calls == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": str(10**12)},
        {"content-length": str(3_000_000), "expect": "100-continue"},
    ],
)
async def test_what_is_announced_as_too_large_is_not_even_read(headers: dict[str, str]) -> None:
    async def receive() -> Message:
        raise AssertionError("read")

    (start, _) = await answer_of(BodyMiddleware(Route()), headers=headers, receive=receive)
    assert start["status"] == 413
    assert (b"connection", b"close") in start["headers"]


async def test_a_caller_that_goes_away_is_not_answered() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    route = Route()
    assert await answer_of(BodyMiddleware(route), headers={"content-length": "5"}, receive=receive) == []
    assert route.calls == 0
