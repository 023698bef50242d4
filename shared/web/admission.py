"""How much is in hand at once: whoever finds no place is refused before a byte of the body is read.

A place stands for so much of body, so that the places bound the memory too (decoded and checked, it takes
eight times as much): a request begins with one, and needs the others once more than that of its body came.
Who finds none waits for a moment; first come, first served, batches after all others. Batches hold a quarter
of the places at most, strangers half.

One caller may hold more than his limit while an eighth of the places is free: without others he needs not
leave any empty.
"""

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.process.metrics import gauge
from shared.web.acquaintances import Acquaintances, are_refused
from shared.web.body import READ_TIMEOUT_S
from shared.web.observation import QUIET_PATHS
from shared.web.places import Line, Places
from shared.web.refusals import Refusal, Refusals
from shared.web.rounds import Rounds

BYTES_A_PLACE = 128 * 1024
BULK_BYTES_A_PLACE = 256 * 1024
"""A batch of a thousand ordinary entries fits in."""
BEGUN_A_ROUND = 8
"""Of the event loop, once many are in hand. Requests that were answered together come again together, and 150
that begin in one round keep all else waiting for a tenth of a second."""
_DOCS = "/docs"

_taken = gauge("admission_places_taken", "Places for requests in hand that are taken", ("kind",))
_waiting = gauge("admission_waiting", "Requests that wait for a place", ("kind",))


@dataclass(frozen=True, kw_only=True)
class Admission:
    """`caller_address` tells strangers apart. `cookie_credentials`: what a request brings in a cookie, where
    its path takes that in place of an Authorization header. `bulk_paths`: of POSTs that bring many at once,
    whole paths. `stream_paths`: of GETs whose answers last; their place is free again once the answer begins,
    so that they need a bound of their own. `wait_s`: how long somebody waits for a place. `check_s`: how long
    a request whose credentials are new waits for the answer to another with the same, where strangers have
    their part."""

    places: int
    places_per_caller: int
    bulk_paths: frozenset[str]
    caller_address: Callable[[Scope], str]
    cookie_credentials: Callable[[Scope], bytes | None] = lambda _: None
    stream_paths: frozenset[str] = frozenset()
    wait_s: float = 0.05
    check_s: float = 5.0


@dataclass(kw_only=True, slots=True)
class _Guest:
    """A request at the door or in hand. `checked`: the digest of credentials that are not known yet."""

    caller: Hashable
    line: Line
    pool: Line
    limit: int
    checked: bytes | None
    held: int = 0


class AdmissionMiddleware:
    """Answers 503 where all places are taken, 429 where one caller has as many as one may. Stands outermost.
    /health, /ready and /metrics are always answered; so is /docs, which is no work, but holds a connection
    for as long as its reader likes."""

    def __init__(self, app: ASGIApp, *, admission: Admission, max_body_bytes: int) -> None:
        self._app = app
        self._admission = admission
        self._largest = max_body_bytes
        self._places = places = Places(places=admission.places, wait_s=admission.wait_s)
        self._known = Acquaintances(most_waiting=admission.places, wait_s=admission.check_s)
        self._refusals = Refusals(body_s=READ_TIMEOUT_S)
        self._beginnings = Rounds(least=BEGUN_A_ROUND, most=BEGUN_A_ROUND)
        self._callers: dict[Hashable, int] = {}
        self._full = {
            places.single: Refusal.FULL,
            places.strangers: Refusal.STRANGERS_FULL,
            places.bulk: Refusal.BULK_FULL,
            places.bulk_of_strangers: Refusal.BULK_FULL,
        }
        kinds = {"single": places.single, "strangers": places.strangers, "bulk": places.bulk}
        for name, line in kinds.items():
            _taken.labels(name).set_function(line.taken_places)
            _waiting.labels(name).set_function(line.those_who_wait)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        digest, length = self._look_at(scope)
        # With a body it would be read, and held, like any other.
        if length == 0 and always_answered(scope["path"]):
            await self._app(scope, receive, send)
            return
        bulk = scope["path"] in self._admission.bulk_paths and scope["method"] == "POST"
        guest = self._guest(scope, digest, bulk=bulk)
        refusal = await self._take(guest, 1)
        if refusal is not None and guest.checked is not None and await self._known.made(guest.checked):
            guest = self._guest(scope, digest, bulk=bulk)
            refusal = await self._take(guest, 1)
        if refusal is not None:
            await self._refusals.answer(refusal, scope, receive, send, body_bytes=length)
            return
        if guest.checked is not None:
            self._known.begin(guest.checked)
        if digest is not None:
            send = self._heeding_answer(guest, scope, send, digest)
        if length == 0 and scope["path"] in self._admission.stream_paths:
            send = self._leaving_at_answer(guest, send)
        receive = self._weighing(receive, guest, length, BULK_BYTES_A_PLACE if bulk else BYTES_A_PLACE)
        try:
            if self._places.all.is_busy:
                await self._beginnings.turn()
            await self._app(scope, receive, send)
        finally:
            self._leave(guest)

    def _look_at(self, scope: Scope) -> tuple[bytes | None, int]:
        """A digest of the credentials, and the bytes to expect. They are not checked yet, which costs more
        than a refusal may; they are not kept either."""
        credentials = self._admission.cookie_credentials(scope)
        from_cookie = credentials is not None
        length = 0
        for name, value in scope["headers"]:
            if name == b"authorization" and not from_cookie:
                credentials = value
            elif name == b"content-length" and value.isdigit():
                length = max(length, min(int(value), self._largest))
            elif name == b"transfer-encoding":
                length = self._largest
        return hashlib.sha256(credentials).digest() if credentials is not None else None, length

    def _guest(self, scope: Scope, digest: bytes | None, *, bulk: bool) -> _Guest:
        places, limit = self._places, self._admission.places_per_caller
        caller = self._known.caller(digest) if digest is not None else None
        if caller is not None:
            line = places.bulk if bulk else places.single
            return _Guest(caller=caller, line=line, pool=places.all, limit=limit, checked=None)
        line = places.bulk_of_strangers if bulk else places.strangers
        limit = min(limit, max(1, places.strangers.most // 2))
        address = self._admission.caller_address(scope)
        return _Guest(caller=address, line=line, pool=line, limit=limit, checked=digest)

    async def _take(self, guest: _Guest, count: int) -> Refusal | None:
        """So many places, or why there are none."""
        held = self._callers.get(guest.caller, 0)
        if held + count > guest.limit and guest.pool.few_are_left(count):
            return Refusal.CALLER_FULL
        self._callers[guest.caller] = held + count
        admitted = False
        try:
            admitted = await self._places.take(guest.line, count)
        finally:
            if admitted:
                guest.held += count
            else:
                self._forget(guest.caller, count)
        return None if admitted else self._full[guest.line]

    def _leave(self, guest: _Guest) -> None:
        """Once; later calls do nothing."""
        if guest.held:
            self._places.leave(guest.line, guest.held)
            self._forget(guest.caller, guest.held)
            guest.held = 0
            if guest.checked is not None:
                self._known.end(guest.checked)

    def _leaving_at_answer(self, guest: _Guest, send: Send) -> Send:
        async def send_and_leave(message: Message) -> None:
            await send(message)
            self._leave(guest)

        return send_and_leave

    def _forget(self, caller: Hashable, count: int) -> None:
        left = self._callers[caller] - count
        if left:
            self._callers[caller] = left
        else:
            del self._callers[caller]

    def _weighing(self, receive: Receive, guest: _Guest, length: int, bytes_a_place: int) -> Receive:
        """As `receive`; raises a problem where the body grows larger than a place and there are no more."""
        more = min(length // bytes_a_place, guest.line.most - 1, guest.limit - 1)
        if more <= 0:
            return receive
        came = 0

        async def receive_and_weigh() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > bytes_a_place and guest.held == 1:
                refusal = await self._take(guest, more)
                if refusal is not None:
                    raise self._refusals.problem(refusal)
            return message

        return receive_and_weigh

    def _heeding_answer(self, guest: _Guest, scope: Scope, send: Send, digest: bytes) -> Send:
        async def send_and_heed(message: Message) -> None:
            if message["type"] == "http.response.start":
                if guest.checked is not None:
                    self._known.answered(digest, scope, status=message["status"])
                elif are_refused(scope, status=message["status"]):
                    self._known.refused(digest)
            await send(message)

        return send_and_heed


def always_answered(path: str) -> bool:
    """Whether a request for `path` needs no place, where it brings no body."""
    return path in QUIET_PATHS or path.startswith(_DOCS)
