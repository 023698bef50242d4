"""Correlation ids, logs, metrics, readiness, service tokens and the OpenAPI description of the shell."""

import asyncio
from uuid import UUID

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from structlog.testing import capture_logs

from shared.process.breaker import CircuitBreaker, Verdict
from shared.process.correlation import bound_correlation_id
from shared.process.service_tokens import ServiceTokens
from shared.web.health import Readiness
from tests.unit.web.demo import DemoSettings, client_of, demo_app


@pytest.mark.parametrize("sane", ["a", "A-z_0.9", "x" * 128])
async def test_a_sane_correlation_id_is_taken_over(sane: str) -> None:
    async with client_of(demo_app()) as client:
        response = await client.get("/api/v1/things/1", headers={"X-Correlation-ID": sane})
    assert response.headers.get_list("x-correlation-id") == [sane]


@pytest.mark.parametrize("insane", ["", "a b", "x" * 129, "a\tb", "é", "a/b", "a\n"])
async def test_any_other_is_replaced(insane: str) -> None:
    async with client_of(demo_app()) as client:
        headers = {b"X-Correlation-ID": insane.encode()}
        response = await client.get("/api/v1/things/1", headers=headers)
    assert UUID(response.headers["x-correlation-id"]).version == 7


@pytest.mark.parametrize(
    "path", ["/health", "/nowhere", "/api/v1/raise/bug", "/internal/v1/secrets", "/docs"]
)
async def test_every_answer_carries_one(path: str) -> None:
    before = bound_correlation_id()
    async with client_of(demo_app()) as client:
        assert (await client.get(path)).headers["x-correlation-id"]
        refused = await client.post(path, content=b"x")
        assert refused.headers["x-correlation-id"]
    assert bound_correlation_id() == before


async def test_a_request_is_one_event_with_the_template_of_its_route() -> None:
    async with client_of(demo_app()) as client:
        with capture_logs() as events:
            await client.get("/api/v1/things/123?token=secret")
    (event,) = events
    assert event["event"] == "request.answered"
    assert event["route"] == "/api/v1/things/{thing_id}"
    assert event["status"] == 200
    assert not any("123" in str(value) for name, value in event.items() if name != "duration_ms")
    assert "secret" not in str(event)


async def test_a_bug_is_logged_with_its_traceback() -> None:
    async with client_of(demo_app()) as client:
        with capture_logs() as events:
            await client.get("/api/v1/raise/bug")
    failed, answered = events
    assert (failed["event"], failed["exc_info"]) == ("request.failed", True)
    assert answered["status"] == 500


async def test_requests_are_counted_by_route_method_and_status() -> None:
    async with client_of(demo_app()) as client:
        await client.get("/api/v1/things/7")
        await client.request("BREW", "/nowhere/at/all")
        text = (await client.get("/metrics")).text
    assert 'carillon_http_requests_total{method="GET",route="/api/v1/things/{thing_id}",status="200"}' in text
    assert 'carillon_http_requests_total{method="OTHER",route="unrouted",status="404"}' in text
    assert "process_resident_memory_bytes" in text
    assert "nowhere" not in text


async def test_health_asks_nobody() -> None:
    readiness = Readiness()
    readiness.add("broken", broken)
    async with client_of(demo_app(readiness=readiness)) as client:
        response = await client.get("/health")
    assert (response.status_code, response.json()["status"]) == (200, "ok")


async def broken() -> None:
    """A dependency that is away."""
    raise ConnectionError("amqp://guest:hunter2@broker refused ann@example.com")


async def fine() -> None:
    """A dependency that is there."""


async def frozen() -> None:
    """A dependency that does not answer."""
    await asyncio.Event().wait()


async def test_what_is_not_required_is_shown_and_changes_nothing() -> None:
    async def away() -> None:
        raise ConnectionError("away")

    readiness = Readiness()
    readiness.add("redis", away, required=False)
    report = await readiness.report("demo")
    assert report.status == "ready"
    assert (report.checks["redis"].ok, report.checks["redis"].required) == (False, False)
    readiness.add("database", away)
    assert (await readiness.report("demo")).status == "not_ready"


async def test_an_open_breaker_is_shown_and_makes_nobody_unready() -> None:
    readiness, breaker = Readiness(), CircuitBreaker("smtp", fail_max=1)
    readiness.add_breakers(breaker)
    assert (await readiness.report("demo")).checks["breaker smtp"].ok

    permit = breaker.admit()
    assert permit is not None
    breaker.settle(permit, Verdict.FAILED)

    report = await readiness.report("demo")
    check = report.checks["breaker smtp"]
    assert (report.status, check.ok, check.required) == ("ready", False, False)
    assert check.detail == "open, next probe in 60 s"


async def test_ready_names_what_is_missing_and_waits_for_nobody() -> None:
    readiness = Readiness()
    readiness.add("fine", fine)
    async with client_of(demo_app(readiness=readiness)) as client:
        response = await client.get("/ready")
        assert (response.status_code, response.json()["status"]) == (200, "ready")
        readiness.add("broken", broken)
        readiness.add("frozen", frozen, timeout_s=0.02)
        response = await client.get("/ready")
    assert response.status_code == 503
    report = response.json()
    assert report["service"] == "demo"
    assert {name: check["ok"] for name, check in report["checks"].items()} == {
        "fine": True,
        "broken": False,
        "frozen": False,
    }
    assert report["checks"]["frozen"]["detail"] == "no answer within 0.02 s"
    assert "refused" in report["checks"]["broken"]["detail"]
    assert "hunter2" not in response.text
    assert "ann@example.com" not in response.text


def token_for(audience: str, *, secret: str | None = None) -> str:
    """A token as another service would send it."""
    own = DemoSettings(environment="test").service_secret.get_secret_value()
    return ServiceTokens(secret or own, "gateway_service").issue(audience)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer {ours}", 200),
        ("bearer {ours}", 200),
        ("Bearer {for_another}", 401),
        ("Bearer {forged}", 401),
        ("Basic {ours}", 401),
        ("Bearer ", 401),
        ("Bearer nonsense", 401),
        ("", 401),
    ],
)
async def test_internal_routes_take_tokens_for_this_service_only(authorization: str, status: int) -> None:
    authorization = authorization.format(
        ours=token_for("demo"),
        for_another=token_for("user_service"),
        forged=token_for("demo", secret="x" * 40),
    )
    async with client_of(demo_app()) as client:
        response = await client.get("/internal/v1/secrets", headers={"Authorization": authorization})
    assert response.status_code == status


async def test_the_description_is_valid_and_lists_what_the_shell_answers() -> None:
    async with client_of(demo_app()) as client:
        document = (await client.get("/openapi.json")).json()
    OpenAPIV31SpecValidator(document).validate()
    operation = document["paths"]["/api/v1/things/{thing_id}"]["post"]
    assert set(operation["responses"]) == {"200", "400", "404", "408", "413", "415", "422", "500"}
    for status, response in operation["responses"].items():
        if status != "200":
            content = response["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert content["example"]["status"] == int(status)
    assert "HTTPValidationError" not in document["components"]["schemas"]
