"""Whether the process is alive, whether it can do its job, and its metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from shared.process.metrics import CONTENT_TYPE, exposition
from shared.process.redaction import scrub


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking one dependency; `detail` is None where all is well."""

    ok: bool
    detail: str | None
    duration_ms: int


class ReadinessReport(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: `ready` or `not_ready`."""

    status: str
    service: str
    checks: dict[str, CheckResult]


class Readiness:
    """The dependencies without which a service cannot do its job."""

    def __init__(self) -> None:
        self._checks: dict[str, tuple[Callable[[], Awaitable[object]], float]] = {}

    def add(self, name: str, check: Callable[[], Awaitable[object]], timeout_s: float = 2.0) -> None:
        """Ask `check` at each /ready: it raises where the dependency is not there. What it raises is shown,
        without addresses and passwords."""
        if name in self._checks:
            raise ValueError(f"there is a check named {name} already")
        self._checks[name] = (check, timeout_s)

    async def report(self, service: str) -> ReadinessReport:
        """Ask all at once."""
        results = await asyncio.gather(
            *(_ask(check, timeout_s) for check, timeout_s in self._checks.values())
        )
        return ReadinessReport(
            status="ready" if all(result.ok for result in results) else "not_ready",
            service=service,
            checks=dict(zip(self._checks, results, strict=True)),
        )


def health_router(*, service: str, version: str, readiness: Readiness) -> APIRouter:
    """The three routes that every service has, open to all."""
    router = APIRouter(tags=["service"])

    @router.get("/health", summary="Is the process alive?", response_class=Response)
    async def health() -> Response:
        """200 for as long as the process can answer at all."""
        return _json({"status": "ok", "service": service, "version": version}, status=200)

    @router.get(
        "/ready",
        summary="Can it do its job?",
        response_class=Response,
        responses={503: {"description": "A dependency is missing; see `checks`."}},
    )
    async def ready() -> Response:
        """Each dependency by name, asked now."""
        report = await readiness.report(service)
        return _json(report, status=200 if report.status == "ready" else 503)

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    async def metrics() -> Response:
        """In Prometheus' text format."""
        return Response(exposition(), media_type=CONTENT_TYPE)

    return router


async def _ask(check: Callable[[], Awaitable[object]], timeout_s: float) -> CheckResult:
    started = time.perf_counter()
    detail: str | None = None
    try:
        async with asyncio.timeout(timeout_s):
            await check()
    except TimeoutError as error:
        detail = scrub(str(error)) or f"no answer within {timeout_s:g} s"
    except Exception as error:
        detail = scrub(str(error)) or type(error).__name__
    return CheckResult(
        ok=detail is None, detail=detail, duration_ms=round((time.perf_counter() - started) * 1000)
    )


def _json(body: object, *, status: int) -> Response:
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = "1"
    return Response(
        msgspec.json.encode(body), status_code=status, media_type="application/json", headers=headers
    )
