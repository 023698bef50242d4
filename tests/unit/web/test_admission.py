"""Who is taken in hand, who waits, and who is refused."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from starlette.types import Message, Receive, Scope, Send

from shared.web.admission import BYTES_A_PLACE, Admission, AdmissionMiddleware
from shared.web.places import Places

LARGEST = 2 * 1024 * 1024
BULK = "/bulk"


@dataclass
class Door:
    """An app that answers a request when it is told to, behind a middleware."""

    places: int
    per_caller: int = 1000
    wait_s: float = 0.0
    in_hand: list[asyncio.Future[None]] = field(default_factory=list)
    bodies_read: int = 0

    def __post_init__(self) -> None:
        self.app = AdmissionMiddleware(
            self._answer,
            admission=Admission(
                places=self.places,
                places_per_caller=self.per_caller,
                bulk_paths=frozenset({BULK}),
                caller_address=lambda scope: str(scope["client"][0]),
                wait_s=self.wait_s,
            ),
            max_body_bytes=LARGEST,
        )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.in_hand.append(mine)
        try:
            await mine
        finally:
            self.in_hand.remove(mine)
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(
        self, path: str = "/one", *, headers: dict[str, str] | None = None, client: str = "192.0.2.1"
    ) -> "Told":
        """One request to its end."""
        told = Told()

        async def receive() -> Message:
            self.bodies_read += 1
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                told.status = message["status"]
                told.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                told.body += message["body"]

        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "client": (client, 1),
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        }
        await self.app(scope, receive, send)
        return told

    @asynccontextmanager
    async def holding(self, count: int, path: str = "/one", **more: object) -> AsyncIterator[None]:
        """So many requests are in hand, and are answered at the end."""
        before = len(self.in_hand)
        tasks = [asyncio.create_task(self.ask(path, **more)) for _ in range(count)]  # type: ignore[arg-type]
        while len(self.in_hand) < before + count:
            assert not any(task.done() for task in tasks)
            await asyncio.sleep(0)
        mine = self.in_hand[before:]
        yield
        for one in mine:
            one.set_result(None)
        assert [(await task).status for task in tasks] == [202] * count

    async def takes(self, path: str = "/one", **more: object) -> bool:
        """Whether one more gets in; it is answered at once."""
        task = asyncio.create_task(self.ask(path, **more))  # type: ignore[arg-type]
        before = len(self.in_hand)
        while not task.done() and len(self.in_hand) == before:
            await asyncio.sleep(0)
        if not task.done():
            self.in_hand[-1].set_result(None)
        return (await task).status == 202


@dataclass
class Told:
    """An answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


async def test_who_finds_no_place_is_told_so_before_a_byte_of_the_body_is_read() -> None:
    door = Door(places=4)
    async with door.holding(4):
        told = await door.ask(headers={"x-correlation-id": "mine"})
        stranger = await door.ask()
    assert door.bodies_read == 0
    assert told.status == 503
    assert told.headers["content-type"] == "application/problem+json"
    assert told.headers["x-correlation-id"] == "mine"
    problem = json.loads(told.body)
    assert problem["type"] == "urn:carillon:problem:overloaded"
    assert (problem["correlation_id"], problem["instance"]) == ("mine", "/one")
    assert UUID(stranger.headers["x-correlation-id"]).version == 7
    assert await door.takes()


async def test_those_who_are_refused_together_are_not_told_to_come_back_together() -> None:
    door = Door(places=1)
    async with door.holding(1):
        told = await asyncio.gather(*(door.ask() for _ in range(200)))
    assert {answer.headers["retry-after"] for answer in told} == {"1", "2", "3"}


async def test_a_thousand_refusals_leave_every_round_to_the_work_in_hand() -> None:
    door = Door(places=1)
    async with door.holding(1):
        asked = [asyncio.create_task(door.ask()) for _ in range(1000)]
        rounds = [0]
        while rounds[-1] < len(asked):
            await asyncio.sleep(0)
            rounds.append(sum(task.done() for task in asked))
    assert max(later - now for now, later in itertools.pairwise(rounds)) <= 100
    assert {task.result().status for task in asked} == {503}


async def test_batches_hold_a_quarter_and_leave_the_rest_to_others() -> None:
    door = Door(places=8)
    async with door.holding(2, BULK):
        assert (await door.ask(BULK)).status == 503
        async with door.holding(6):
            assert (await door.ask()).status == 503
        assert await door.takes()
    assert await door.takes(BULK)


async def test_one_caller_does_not_take_every_place() -> None:
    door = Door(places=8, per_caller=3)
    mine, other = {"authorization": "Bearer a"}, {"authorization": "Bearer b"}
    async with door.holding(3, headers=mine):
        told = await door.ask(headers=mine)
        assert (told.status, json.loads(told.body)["type"]) == (429, "urn:carillon:problem:too_many_at_once")
        assert told.headers["retry-after"] in ("1", "2", "3")
        assert await door.takes(headers=other)
    assert await door.takes(headers=mine)


async def test_without_credentials_a_caller_is_an_address() -> None:
    door = Door(places=8, per_caller=2)
    async with door.holding(2, client="192.0.2.1"):
        assert (await door.ask(client="192.0.2.1")).status == 429
        assert await door.takes(client="192.0.2.2")


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/docs", "/docs/swagger-ui.css"])
async def test_who_watches_is_always_answered(path: str) -> None:
    door = Door(places=1, per_caller=1)
    async with door.holding(1):
        assert await door.takes(path)
        assert (await door.ask(path, headers={"content-length": "2"})).status in (429, 503)


@pytest.mark.parametrize(
    ("headers", "places"),
    [
        ({"content-length": "0"}, 1),
        ({"content-length": str(BYTES_A_PLACE - 1)}, 1),
        ({"content-length": str(3 * BYTES_A_PLACE)}, 4),
        ({"content-length": str(LARGEST * 100)}, 17),
        ({"transfer-encoding": "chunked"}, 17),
    ],
)
async def test_a_large_body_needs_more_places(headers: dict[str, str], places: int) -> None:
    door = Door(places=20)
    async with door.holding(1, headers=headers), AsyncExitStack() as stack:
        for _ in range(20 - places):
            await stack.enter_async_context(door.holding(1))
        assert not await door.takes()


async def test_what_needs_more_than_there_is_gets_in_alone() -> None:
    door = Door(places=4, per_caller=2)
    async with door.holding(1, headers={"content-length": str(LARGEST)}):
        assert (await door.ask()).status == 429
        assert await door.takes(client="192.0.2.2")


async def test_a_request_that_fails_leaves_its_place() -> None:
    door = Door(places=1)
    task = asyncio.create_task(door.ask())
    while not door.in_hand:
        await asyncio.sleep(0)
    door.in_hand[0].set_exception(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        await task
    assert await door.takes()


async def waiting(places: Places, *, bulk: bool = False, count: int = 1) -> asyncio.Task[bool]:
    """Somebody who stands in the line by now."""
    line = places.bulk if bulk else places.single
    before = len(line.waiting)
    task = asyncio.create_task(places.take(line, count))
    while len(line.waiting) == before:
        assert not task.done()
        await asyncio.sleep(0)
    return task


async def test_a_place_goes_to_who_waits_longest_and_to_bulk_last() -> None:
    places = Places(places=4, wait_s=60)
    assert await places.take(places.single, 4)
    bulk = await waiting(places, bulk=True)
    first, second = await waiting(places), await waiting(places)
    for now, later in ((first, second), (second, bulk)):
        places.leave(places.single, 1)
        assert await now
        assert not later.done()
    places.leave(places.single, 1)
    assert await bulk


async def test_nobody_overtakes_who_needs_several_places() -> None:
    places = Places(places=4, wait_s=60)
    assert await places.take(places.single, 3)
    large = await waiting(places, count=4)
    small = await waiting(places)
    places.leave(places.single, 3)
    assert await large
    assert not small.done()
    places.leave(places.single, 4)
    assert await small


async def test_waiting_is_short_and_after_it_was_in_vain_nobody_waits_for_a_while() -> None:
    places = Places(places=1, wait_s=0.01)
    assert await places.take(places.single, 1)
    assert not await (await waiting(places))
    began = asyncio.get_running_loop().time()
    refused = asyncio.create_task(places.take(places.single, 1))
    await asyncio.sleep(0)
    assert refused.done()
    assert not refused.result()
    assert places.single.in_vain_until > began
    places.leave(places.single, 1)
    assert await places.take(places.single, 1)


async def test_no_more_wait_than_could_be_in_hand() -> None:
    places = Places(places=2, wait_s=60)
    assert await places.take(places.single, 2)
    line = [await waiting(places), await waiting(places)]
    assert not await places.take(places.single, 1)
    for task in line:
        task.cancel()
    await asyncio.gather(*line, return_exceptions=True)
    assert not places.single.waiting


async def test_who_leaves_the_line_as_a_place_comes_gives_it_to_the_next() -> None:
    places = Places(places=2, wait_s=60)
    assert await places.take(places.single, 2)
    gone, next_one = await waiting(places), await waiting(places)
    places.leave(places.single, 1)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await next_one
    assert places.single.taken == 2
