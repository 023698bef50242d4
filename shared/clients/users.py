"""The user service, as the gateway and the workers ask it."""

import asyncio
import functools
import time
from collections import deque
from dataclasses import dataclass
from uuid import UUID

import httpx

from shared.clients.peer import TOTAL_TIMEOUT_S, Peer, PeerRefused, PeerUnavailable, peer_breaker
from shared.contracts.recipients import (
    Address,
    ApiKeyPrincipal,
    ApiKeyQuestion,
    Recipient,
    RecipientAnswer,
    RecipientQuestion,
)
from shared.process.service_tokens import ServiceTokens

SERVICE = "user_service"
_LOGINS_AT_ONCE = 40
"""More than the user service lets wait, so that it turns the others away, which then wait for nobody here."""
_Key = UUID | str | Address


class UserClient:
    """Typed calls, within `breaker`; `peer` is for what the gateway hands on as it came, `logins` for what of
    that hashes a password. These two heed the breaker and tell it nothing, and all three have connections of
    their own, so that no crowd of logins keeps anybody from being looked up.

    `lookup_timeout_s` bounds a look-up of recipients.
    """

    def __init__(
        self,
        base_url: str,
        tokens: ServiceTokens,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        lookup_timeout_s: float = TOTAL_TIMEOUT_S,
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
        self.logins = make(for_themselves=True, max_connections=_LOGINS_AT_ONCE)
        self._lookup_timeout_s = lookup_timeout_s

    async def recipients(self, question: RecipientQuestion) -> RecipientAnswer:
        """Everyone asked for who is known, as they are now. Raises PeerUnavailable and PeerRefused."""
        return await self._questions.ask(
            "/internal/v1/recipients/lookup", question, RecipientAnswer, timeout_s=self._lookup_timeout_s
        )

    async def api_key(self, digest: str) -> ApiKeyPrincipal | None:
        """Whose key has this SHA-256 (hex); None where there is none. Raises PeerUnavailable."""
        try:
            return await self._questions.ask(
                "/internal/v1/api-keys/verify", ApiKeyQuestion(digest=digest), ApiKeyPrincipal
            )
        except PeerRefused as refused:
            if refused.answer.status == 404:
                return None
            raise PeerUnavailable(SERVICE, str(refused)) from refused

    async def key_set(self) -> bytes:
        """The public keys of access tokens, as JSON (RFC 7517). Raises PeerUnavailable."""
        try:
            return (await self._questions.call("GET", "/.well-known/jwks.json")).content
        except PeerRefused as refused:
            raise PeerUnavailable(SERVICE, str(refused)) from refused

    async def ping(self) -> None:
        """For readiness: raises PeerUnavailable where the service does not answer."""
        await self._questions.ping()

    async def close(self) -> None:
        """Close kept connections."""
        for peer in (self._questions, self.peer, self.logins):
            await peer.close()


@dataclass(frozen=True, kw_only=True)
class FoundRecipient:
    """`recipient` is None where nobody is known. `asked_at` is `time.monotonic()` right before the
    question went out: what is told is at least as fresh as that."""

    recipient: Recipient | None
    asked_at: float


_Waiting = tuple[_Key, asyncio.Future[FoundRecipient]]


class RecipientLookup:
    """Single look-ups, asked together: those of 14 ms in one call, at most 200 in it, at most 2 calls
    at a time; while they are under way, the next one grows. Nothing is kept: every look-up is answered by
    a call that starts after it.

    `patience_s`: how long somebody waits who can do without the answer, in seconds; None: as long as it
    takes. Whoever asks by external id cannot do without.
    """

    def __init__(
        self,
        client: UserClient,
        *,
        max_wait_s: float = 0.014,
        max_batch: int = 200,
        max_calls: int = 2,
        patience_s: float | None = None,
    ) -> None:
        self._client = client
        self._max_wait_s = max_wait_s
        self._max_batch = max_batch
        self._max_calls = max_calls
        self._patience_s = patience_s
        self._waiting: deque[_Waiting] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def by_id(self, user_id: UUID) -> FoundRecipient:
        """Raises PeerUnavailable and PeerRefused, as do the others."""
        return await self._ask(user_id, self._patience_s)

    async def by_external_id(self, external_id: str) -> FoundRecipient:
        """By the sender's own id of the person."""
        return await self._ask(external_id, None)

    async def by_address(self, address: Address) -> FoundRecipient:
        """The person an address belongs to."""
        return await self._ask(address, self._patience_s)

    async def close(self) -> None:
        """Whoever still waits gets PeerUnavailable."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        _fail(list(self._waiting), PeerUnavailable(SERVICE, "closed"))
        self._waiting.clear()

    async def _ask(self, key: _Key, patience_s: float | None) -> FoundRecipient:
        if self._closed:
            raise PeerUnavailable(SERVICE, "closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[FoundRecipient] = loop.create_future()
        self._waiting.append((key, future))
        self._schedule()
        if patience_s is None:
            return await future
        timer = loop.call_later(patience_s, _give_up, future)
        try:
            return await future
        finally:
            timer.cancel()

    def _schedule(self) -> None:
        """A call goes out when a batch is full or its time is up, and a call is free."""
        while len(self._waiting) >= self._max_batch and len(self._calls) < self._max_calls:
            self._send()
        if self._waiting and self._timer is None and len(self._calls) < self._max_calls:
            self._timer = asyncio.get_running_loop().call_later(self._max_wait_s, self._time_up)

    def _time_up(self) -> None:
        self._timer = None
        if self._waiting and len(self._calls) < self._max_calls:
            self._send()
        self._schedule()

    def _send(self) -> None:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < self._max_batch:
            key, future = self._waiting.popleft()
            if not future.done():
                batch.append((key, future))
        if batch:
            call = asyncio.create_task(self._call(batch))
            self._calls.add(call)
            call.add_done_callback(self._finished)

    def _finished(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not self._closed:
            self._schedule()

    async def _call(self, batch: list[_Waiting]) -> None:
        keys = {key for key, _ in batch}
        question = RecipientQuestion(
            ids=tuple(key for key in keys if isinstance(key, UUID)),
            external_ids=tuple(key for key in keys if isinstance(key, str)),
            addresses=tuple(key for key in keys if isinstance(key, Address)),
        )
        asked_at = time.monotonic()
        try:
            answer = await self._client.recipients(question)
        except asyncio.CancelledError:
            _fail(batch, PeerUnavailable(SERVICE, "closed"))
            raise
        except Exception as error:
            _fail(batch, error)
            return
        for key, future in batch:
            if not future.done():
                future.set_result(FoundRecipient(recipient=_answer_for(key, answer), asked_at=asked_at))


def _answer_for(key: _Key, answer: RecipientAnswer) -> Recipient | None:
    if isinstance(key, UUID):
        return answer.by_id.get(str(key))
    if isinstance(key, Address):
        return answer.by_address.get(f"{key.channel.value}:{key.value}")
    return answer.by_external_id.get(key)


def _give_up(future: asyncio.Future[FoundRecipient]) -> None:
    if not future.done():
        future.set_exception(PeerUnavailable(SERVICE, "no answer in good time"))


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
