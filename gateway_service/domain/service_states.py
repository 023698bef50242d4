"""What every service says of itself: the gateway directly, the others at their /ready."""

import asyncio
from collections.abc import Mapping, Sequence

import httpx
import msgspec

from gateway_service.domain.overview import ServiceState
from shared.clients.peer import tls_context
from shared.process.redaction import scrub
from shared.web.health import Readiness, ReadinessReport

WITHIN_S = 3.0
"""More than a service gives each of its own dependencies (2 s), less than the overview gives all of them."""
_BREAKER = "breaker "


class ServiceStates:
    """`urls` by the name of the service. Where one has several processes, each time one of them answers."""

    def __init__(
        self,
        own: tuple[str, Readiness],
        urls: Mapping[str, str],
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._name, self._own = own
        self._urls = {name: url.rstrip("/") for name, url in urls.items()}
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(WITHIN_S),
            trust_env=False,
            follow_redirects=False,
            verify=tls_context(),
        )

    async def all(self) -> Sequence[ServiceState]:
        """All at once; raises nothing that a service can cause."""
        return await asyncio.gather(
            self._of_our_own(), *(self._ask(name, url) for name, url in self._urls.items())
        )

    async def close(self) -> None:
        """Close kept connections."""
        await self._http.aclose()

    async def _of_our_own(self) -> ServiceState:
        return _state(self._name, await self._own.report(self._name))

    async def _ask(self, name: str, url: str) -> ServiceState:
        try:
            async with asyncio.timeout(WITHIN_S):
                answer = await self._http.get(f"{url}/ready")
            report = msgspec.json.decode(answer.content, type=ReadinessReport)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, msgspec.DecodeError) as error:
            missing = (("service", _in_words(error)),)
            return ServiceState(name=name, status="no_answer", missing=missing, breakers=())
        return _state(name, report)


def _in_words(error: Exception) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"did not answer within {WITHIN_S:g} s"
    if isinstance(error, msgspec.DecodeError):
        return "what it answered cannot be read"
    return scrub(str(error)) or "cannot be reached"


def _state(name: str, report: ReadinessReport) -> ServiceState:
    checks = report.checks.items()
    return ServiceState(
        name=name,
        status="ready" if report.status == "ready" else "not_ready",
        missing=tuple(
            (check, result.detail or "not there")
            for check, result in checks
            if not result.ok and not check.startswith(_BREAKER)
        ),
        breakers=tuple(
            (check.removeprefix(_BREAKER), None if result.ok else result.detail or "open")
            for check, result in checks
            if check.startswith(_BREAKER)
        ),
    )
