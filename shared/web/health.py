"""Whether the process is alive, whether it can do its job, and its metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from shared.process.breaker import CircuitBreaker
from shared.process.metrics import CONTENT_TYPE, exposition
from shared.process.redaction import scrub


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking one dependency; `detail` is None where all is well. Without one that is not
    `required` the service does its job nevertheless."""

    ok: bool
    detail: str | None
    duration_ms: int
    required: bool


@dataclass(frozen=True, kw_only=True)
class _Check:
    ask: Callable[[], Awaitable[object]]
    timeout_s: float
    required: bool


class ReadinessReport(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: `ready` or `not_ready`."""

    status: str
    service: str
    checks: dict[str, CheckResult]


class Readiness:
    """The dependencies of a service."""

    def __init__(self) -> None:
        self._checks: dict[str, _Check] = {}

    def add(
        self,
        name: str,
        check: Callable[[], Awaitable[object]],
        *,
        timeout_s: float = 2.0,
        required: bool = True,
    ) -> None:
        """Ask `check` at each /ready: it raises where the dependency is not there. What it raises is shown,
        without addresses and passwords; where it is not `required` it is shown and changes nothing."""
        if name in self._checks:
            raise ValueError(f"there is a check named {name} already")
        self._checks[name] = _Check(ask=check, timeout_s=timeout_s, required=required)

    def add_breakers(self, *breakers: CircuitBreaker) -> None:
        """Show the state of each as `breaker <name>`. None is required: one that is open does its job, and a
        service that waits for another is not to be restarted for it."""
        for breaker in breakers:
            self.add(f"breaker {breaker.name}", breaker.check, required=False)

    async def report(self, service: str) -> ReadinessReport:
        """Ask all at once."""
        results = await asyncio.gather(*(_ask(check) for check in self._checks.values()))
        return ReadinessReport(
            status="ready" if all(result.ok or not result.required for result in results) else "not_ready",
            service=service,
            checks=dict(zip(self._checks, results, strict=True)),
        )


def health_router(*, service: str, version: str, readiness: Readiness) -> APIRouter:
    """The three routes that every service has, open to all."""
    router = APIRouter(tags=["service"])

    @router.get(
        "/health",
        summary="Is the process alive?",
        response_class=Response,
        responses={200: _described("It is.", {"status": "ok", "service": service, "version": version})},
    )
    async def health() -> Response:
        """200 for as long as the process can answer at all."""
        return _json({"status": "ok", "service": service, "version": version}, status=200)

    @router.get(
        "/ready",
        summary="Can it do its job?",
        response_class=Response,
        responses={
            200: _described("It can.", _ready_example(service, ok=True)),
            503: _described("A dependency is missing; see `checks`.", _ready_example(service, ok=False)),
        },
    )
    async def ready() -> Response:
        """Each dependency by name, asked now."""
        report = await readiness.report(service)
        return _json(report, status=200 if report.status == "ready" else 503)

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={
            200: {
                "description": "All of this process.",
                "content": {
                    "text/plain": {
                        "schema": {"type": "string"},
                        "example": "process_open_fds 42.0",
                    }
                },
            }
        },
    )
    async def metrics() -> Response:
        """In Prometheus' text format."""
        return Response(exposition(), media_type=CONTENT_TYPE)

    return router


def _described(description: str, example: dict[str, object]) -> dict[str, Any]:
    """A JSON answer for the OpenAPI description."""
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"description": description, "content": content}


def _ready_example(service: str, *, ok: bool) -> dict[str, object]:
    check = CheckResult(ok=ok, detail=None if ok else "no answer within 2 s", duration_ms=2, required=True)
    status = "ready" if ok else "not_ready"
    return {"status": status, "service": service, "checks": {"database": msgspec.to_builtins(check)}}


async def _ask(check: _Check) -> CheckResult:
    started = time.perf_counter()
    detail: str | None = None
    try:
        async with asyncio.timeout(check.timeout_s):
            await check.ask()
    except TimeoutError as error:
        detail = scrub(str(error)) or f"no answer within {check.timeout_s:g} s"
    except Exception as error:
        detail = scrub(str(error)) or type(error).__name__
    return CheckResult(
        ok=detail is None,
        detail=detail,
        duration_ms=round((time.perf_counter() - started) * 1000),
        required=check.required,
    )


def _json(body: object, *, status: int) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = "1"
    return Response(
        msgspec.json.encode(body), status_code=status, media_type="application/json", headers=headers
    )
