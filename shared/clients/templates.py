"""The template service, as the gateway and the workers ask it: cached, and emptied by what is broadcast."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable
from typing import Protocol
from urllib.parse import quote

import httpx
import msgspec
import structlog

from shared.clients.flights import Flights
from shared.clients.peer import Peer, PeerRefused, PeerUnavailable, peer_breaker
from shared.contracts.delivery import TemplatePublished
from shared.contracts.templates import TemplateVersion
from shared.process.recent import RecentlyUsed
from shared.process.service_tokens import ServiceTokens
from shared.process.tasks import BackgroundTasks

log = structlog.get_logger()

SERVICE = "template_service"
SUBSCRIBED_TTL_S = 30.0
"""How long a release is believed while broadcasts come in: what a lost broadcast can cost at most."""
ALONE_TTL_S = 1.0
"""How long while they do not, and how long "there is none" is believed at all times."""
STALE_FOR_S = 300.0
"""How long a release serves on while the template service is away."""
_MAX_ITEMS = 2_000
_MAX_CHARACTERS = 16 * 1024 * 1024


class Broadcasts(Protocol):
    """A subscription, see shared/broker/interface.py; None means that some may have been missed."""

    def __aiter__(self) -> AsyncIterator[bytes | None]: ...

    async def close(self) -> None:
        """End the iteration."""


class BroadcastSource(Protocol):
    """What this needs of a broker."""

    def subscribe(self) -> Broadcasts:
        """Broadcasts from now on; the first is None."""

    async def ping(self) -> None:
        """Raises where the broker does not answer."""


class _Release(msgspec.Struct):
    """`template` None: there is none. `asked_at`: when the question went out that this answers."""

    template: TemplateVersion | None
    asked_at: float
    outdated: bool = False
    away: bool = False


class TemplateClient:
    """Versions are immutable and kept; releases are kept until a broadcast, or their time, ends them.

    `peer` is for what the gateway hands on as it came; it heeds the breaker and tells it nothing.
    `patience_s`: how long a release is waited for, in seconds, before the service counts as away; None: as
    long as it takes.
    """

    def __init__(
        self,
        base_url: str,
        tokens: ServiceTokens,
        *,
        broker: BroadcastSource | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        time_s: Callable[[], float] = time.monotonic,
        ping_every_s: float = 1.0,
        patience_s: float | None = None,
    ) -> None:
        self.breaker = peer_breaker(SERVICE)
        make = functools.partial(
            Peer,
            base_url=base_url,
            service=SERVICE,
            tokens=tokens,
            transport=transport,
            breaker=self.breaker,
        )
        self._questions = make()
        self.peer = make(for_themselves=True)
        self._patience_s = patience_s
        self._broker = broker
        self._time_s = time_s
        self._ping_every_s = ping_every_s
        self._subscribed = False
        self._tasks = BackgroundTasks()
        self._flights = Flights[tuple[str, str | None], TemplateVersion | None]()
        self._version_flights = Flights[tuple[str, int], TemplateVersion | None]()
        self._releases = RecentlyUsed[tuple[str, str | None], _Release](
            max_items=_MAX_ITEMS, max_weight=_MAX_CHARACTERS
        )
        self._versions = RecentlyUsed[tuple[str, int], TemplateVersion](
            max_items=_MAX_ITEMS, max_weight=_MAX_CHARACTERS
        )
        self._away_until = float("-inf")

    async def start(self) -> None:
        """Listen to broadcasts, in the background."""
        if self._broker is not None:
            self._tasks.start("template-broadcasts", self._listen)

    async def close(self) -> None:
        """Close kept connections."""
        await self._tasks.close()
        await self._flights.close()
        await self._version_flights.close()
        await self._questions.close()
        await self.peer.close()

    async def version(self, code: str, version: int) -> TemplateVersion | None:
        """A version that is or was published. Raises PeerUnavailable where it is not kept here and the
        service is away."""
        key = (code, version)
        kept = self._versions.get(key)
        if kept is not None:
            return kept
        return await self._version_flights.join(
            key, lambda: self._fetch(f"/internal/v1/templates/{quote(code, safe='')}/versions/{version}", {})
        )

    async def released(self, code: str, language: str | None) -> TemplateVersion | None:
        """What is published for the language, or what stands in for it; None where there is nothing.

        At most 1 s behind a publish. While the service is away: what was last known, for up to 5 min
        after it was last asked. Raises PeerUnavailable where nothing is known.
        """
        key = (code, language)
        kept = self._releases.get(key)
        now = self._time_s()
        if kept is not None:
            if self._is_fresh(kept, now):
                return kept.template
            if kept.away and self._may_serve(kept, now):
                self._flights.launch(key, lambda: self._renew(key))  # asked behind the caller's back
                return kept.template
        elif now < self._away_until:
            raise PeerUnavailable(SERVICE, "did not answer a moment ago")
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._flights.join(key, lambda: self._renew(key))
        except (PeerUnavailable, TimeoutError) as error:
            self._note_absence(key)
            if kept is None or not self._may_serve(kept, now):
                raise PeerUnavailable(SERVICE, "does not answer") from error
            return kept.template

    async def ping(self) -> None:
        """For readiness: raises PeerUnavailable where the service does not answer."""
        await self._questions.ping()

    def forget(self, code: str | None) -> None:
        """A release of the template has changed; None: any may have."""
        for key, release in self._releases:
            if code is None or key[0] == code:
                release.outdated = True
        # An answer that is under way may be older than the change: it is not kept, nor joined any more.
        self._flights.disown(lambda key: code is None or key[0] == code)

    def _is_fresh(self, release: _Release, now: float) -> bool:
        if release.outdated or release.away:
            return False
        ttl_s = SUBSCRIBED_TTL_S if self._subscribed and release.template is not None else ALONE_TTL_S
        return now < release.asked_at + ttl_s

    @staticmethod
    def _may_serve(release: _Release, now: float) -> bool:
        return release.template is not None and now < release.asked_at + STALE_FOR_S

    async def _renew(self, key: tuple[str, str | None]) -> TemplateVersion | None:
        code, language = key
        asked_at = self._time_s()
        query: dict[str, str | int] = {} if language is None else {"language": language}
        try:
            template = await self._fetch(f"/internal/v1/templates/{quote(code, safe='')}/release", query)
        except PeerUnavailable:
            self._note_absence(key)
            raise
        if self._flights.owns_current(key):
            release = _Release(template=template, asked_at=asked_at)
            self._releases.put(key, release, weight=_weight(template))
        return template

    def _note_absence(self, key: tuple[str, str | None]) -> None:
        self._away_until = self._time_s() + ALONE_TTL_S
        kept = self._releases.get(key)
        if kept is not None:
            kept.away = True

    async def _fetch(self, path: str, query: dict[str, str | int]) -> TemplateVersion | None:
        try:
            answer = await self._questions.call("GET", path, query=query)
        except PeerRefused as refused:
            if refused.answer.status == 404:
                return None
            raise PeerUnavailable(SERVICE, str(refused)) from refused
        template = self._questions.decode(answer, TemplateVersion)
        self._versions.put((template.code, template.version), template, weight=_weight(template))
        return template

    async def _listen(self) -> None:
        if self._broker is None:
            return
        while True:
            broadcasts = self._broker.subscribe()
            watch = asyncio.create_task(self._watch(broadcasts))
            try:
                async for body in broadcasts:
                    self._heard(body)
            finally:
                self._subscribed = False
                watch.cancel()
                await asyncio.gather(watch, broadcasts.close(), return_exceptions=True)

    async def _watch(self, broadcasts: Broadcasts) -> None:
        """A subscription says that it was interrupted only once it is back: find out before that."""
        while True:
            await asyncio.sleep(self._ping_every_s)
            if not self._subscribed or self._broker is None:
                continue
            try:
                await self._broker.ping()
            except Exception as error:
                log.info("templates.broadcasts_lost", reason=str(error))
                self._subscribed = False
                await broadcasts.close()
                return

    def _heard(self, body: bytes | None) -> None:
        if body is None:
            self.forget(None)
            self._subscribed = True
            return
        try:
            published = msgspec.json.decode(body, type=TemplatePublished)
        except msgspec.DecodeError:
            return  # a broadcast about something else
        self.forget(published.code)


def _weight(template: TemplateVersion | None) -> int:
    """Its size in characters, more or less."""
    if template is None:
        return 100
    return 1000 + len(template.body) + len(template.subject or "") + len(template.text_body or "")
