"""Tells every process that a template has changed, so that none sends what is no longer published."""

import asyncio
from typing import Protocol

import msgspec
import structlog

from shared.contracts.delivery import TemplatePublished

log = structlog.get_logger()


class Broadcaster(Protocol):
    """What this needs of a broker."""

    async def broadcast(self, body: bytes) -> None:
        """To every process that subscribes now. Raises where the broker is away."""


class Announcements:
    """Announces from the background: a publish succeeds whether or not the broker is there, and is
    announced once it is back. Caches that hear nothing at all fall back to their own time limits."""

    def __init__(self, broadcaster: Broadcaster, *, again_after_s: float = 0.5) -> None:
        self._broadcaster = broadcaster
        self._again_after_s = again_after_s
        self._waiting: dict[str, None] = {}
        self._changed = asyncio.Event()

    def template_changed(self, code: str) -> None:
        """Call it after COMMIT."""
        self._waiting[code] = None
        self._changed.set()

    async def run(self) -> None:
        """Announce until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._waiting:
                code = next(iter(self._waiting))
                del self._waiting[code]
                await self._announce(code)

    async def _announce(self, code: str) -> None:
        try:
            await self._broadcaster.broadcast(msgspec.json.encode(TemplatePublished(code=code)))
        except Exception as error:
            log.warning("template.not_announced", template_code=code, reason=str(error))
            self._waiting[code] = None
            await asyncio.sleep(self._again_after_s)
