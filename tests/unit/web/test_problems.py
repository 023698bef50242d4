"""Every error is a problem, and tells nothing that is not the caller's."""

import pytest

from tests.unit.web.demo import client_of, demo_app


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("not_found", 404, "not_found"),
        ("conflict", 409, "conflict"),
        ("forbidden", 403, "forbidden"),
        ("unprocessable", 422, "validation"),
        ("rate_limited", 429, "rate_limited"),
        ("unavailable", 503, "unavailable"),
        ("database", 503, "unavailable"),
        ("commit", 503, "commit_unknown"),
        ("overloaded", 503, "unavailable"),
        ("sqlalchemy", 503, "unavailable"),
        ("bug", 500, "internal"),
        ("constraint", 500, "internal"),
    ],
)
async def test_what_is_raised_is_answered_as_a_problem(name: str, status: int, kind: str) -> None:
    async with client_of(demo_app()) as client:
        response = await client.get(f"/api/v1/raise/{name}", headers={"X-Correlation-ID": "mine.1"})
    problem = response.json()
    assert response.status_code == problem["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:carillon:problem:{kind}"
    assert problem["instance"] == f"/api/v1/raise/{name}"
    assert problem["correlation_id"] == response.headers["x-correlation-id"] == "mine.1"
    assert problem["title"]
    assert problem["detail"]
    assert "secret" not in response.text
    assert ("retry-after" in response.headers) == (status in (429, 503))


async def test_the_wait_is_the_one_that_was_asked_for() -> None:
    async with client_of(demo_app()) as client:
        assert (await client.get("/api/v1/raise/rate_limited")).headers["retry-after"] == "7"
        assert (await client.get("/api/v1/raise/unavailable")).headers["retry-after"] == "3"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/things/1/", 404),
        ("DELETE", "/api/v1/things/1", 405),
        ("POST", "/health", 405),
    ],
)
async def test_unknown_paths_and_methods_are_problems(method: str, path: str, status: int) -> None:
    async with client_of(demo_app()) as client:
        response = await client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert ("allow" in response.headers) == (status == 405)


async def test_a_wrong_method_is_told_every_right_one() -> None:
    """They are routes of their own."""
    async with client_of(demo_app()) as client:
        assert (await client.delete("/api/v1/things/1")).headers["allow"] == "GET, HEAD, POST"
        assert (await client.delete("/api/v1/raw")).headers["allow"] == "POST"
        assert (await client.head("/api/v1/raw")).headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "status"), [("/api/v1/things/1", 200), ("/health", 200), ("/nowhere", 404), ("/api/v1/raw", 405)]
)
async def test_head_answers_as_get_does_without_a_body(path: str, status: int) -> None:
    async with client_of(demo_app()) as client:
        got, asked = await client.get(path), await client.head(path)
    assert (asked.status_code, asked.content) == (status, b"")
    same = ("content-type", "content-length", "allow")
    assert [asked.headers.get(name) for name in same] == [got.headers.get(name) for name in same]


async def test_a_check_of_the_whole_may_name_the_field() -> None:
    async with client_of(demo_app()) as client:
        response = await client.post("/api/v1/things/1", json={"name": "nameless"})
    assert [error["field"] for error in response.json()["errors"]] == ["name"]


async def test_each_wrong_field_is_named() -> None:
    async with client_of(demo_app()) as client:
        response = await client.post("/api/v1/things/x", json={"count": "many", "nmae": "typo"})
    assert response.status_code == 422
    problem = response.json()
    assert {error["field"] for error in problem["errors"]} == {"thing_id", "name", "count", "nmae"}
    assert all(error["message"] for error in problem["errors"])
    assert "many" not in response.text


async def test_nul_in_a_string_is_refused() -> None:
    async with client_of(demo_app()) as client:
        for body in ({"name": "a\x00"}, {"name": "a", "more": {"deep": ["a\x00"]}}):
            assert (await client.post("/api/v1/things/1", json=body)).status_code == 422


async def test_without_credentials_the_scheme_is_named() -> None:
    async with client_of(demo_app()) as client:
        response = await client.get("/internal/v1/secrets")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
