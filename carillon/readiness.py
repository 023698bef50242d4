"""Asking the services how they are."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

_ASK_EVERY_S = 0.3
_NOT_FOUND = 404


@dataclass(frozen=True, kw_only=True)
class Check:
    """One dependency of a service; `detail` says what is wrong. One that is not `required` is only shown."""

    name: str
    ok: bool
    detail: str | None = None
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One service: does it answer, which version, is it ready, and if not, for want of what."""

    name: str
    alive: bool
    ready: bool
    version: str = ""
    checks: tuple[Check, ...] = field(default=())

    def complaint(self) -> str | None:
        """What is wrong, in a sentence without end."""
        if not self.alive:
            return f"{self.name} does not answer"
        wrong = [f"{check.name} ({check.detail})" for check in self.checks if check.required and not check.ok]
        if wrong:
            return f"{self.name} is without {', '.join(wrong)}"
        return None if self.ready else f"{self.name} is not ready"


async def conditions(services: Mapping[str, str]) -> list[Condition]:
    """Of each service, by name and address, asked at once. A development tool has no `/ready`: it is ready
    as soon as it is alive."""
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        return list(await asyncio.gather(*(_condition(client, *each) for each in services.items())))


async def not_ready(services: Mapping[str, str], *, timeout_s: float) -> list[str]:
    """Wait until all are ready; the complaints of those that are not within the time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        complaints = [said for each in await conditions(services) if (said := each.complaint())]
        if not complaints or loop.time() > deadline:
            return complaints
        await asyncio.sleep(_ASK_EVERY_S)


async def _condition(client: httpx.AsyncClient, name: str, url: str) -> Condition:
    try:
        health, ready = await client.get(f"{url}/health"), await client.get(f"{url}/ready")
    except httpx.HTTPError:
        return Condition(name=name, alive=False, ready=False)
    version = ""
    checks: tuple[Check, ...] = ()
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        version = str(health.json().get("version", ""))
        checks = tuple(
            Check(
                name=check,
                ok=bool(result["ok"]),
                detail=result.get("detail"),
                required=bool(result.get("required", True)),
            )
            for check, result in ready.json()["checks"].items()
        )
    return Condition(
        name=name,
        alive=health.is_success,
        ready=ready.is_success or (health.is_success and ready.status_code == _NOT_FOUND),
        version=version,
        checks=checks,
    )
