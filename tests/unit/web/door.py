"""A door with an app behind it that answers when it is told to."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from shared.web.acquaintances import disown, vouch_for
from shared.web.admission import Admission, AdmissionMiddleware
from shared.web.problems import ApiProblem

LARGEST = 2 * 1024 * 1024
BULK = "/bulk"
PAGE = "/page"
"""Where credentials come in a cookie."""


def _of_page(scope: Scope) -> bytes | None:
    return dict(scope["headers"]).get(b"cookie") if scope["path"] == PAGE else None


@dataclass
class Door:
    """An app that answers a request when it is told to, behind a middleware. Credentials are good, unless
    they are `bogus`; it looks at none under /public."""

    places: int
    per_caller: int = 1000
    in_hand: list[asyncio.Future[None]] = field(default_factory=list)
    bodies_read: int = 0
    revoked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.app = AdmissionMiddleware(
            self._answer,
            admission=Admission(
                places=self.places,
                places_per_caller=self.per_caller,
                bulk_paths=frozenset({BULK}),
                caller_address=lambda scope: str(scope["client"][0]),
                cookie_credentials=_of_page,
                wait_s=0.0,
                check_s=60.0,
            ),
            max_body_bytes=LARGEST,
        )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.in_hand.append(mine)
        status = 202
        try:
            while (await receive()).get("more_body", False):
                pass
            await mine
        except ApiProblem as problem:
            status = problem.status
        finally:
            self.in_hand.remove(mine)
        who = (_of_page(scope) or dict(scope["headers"]).get(b"authorization", b"")).decode()
        if scope["path"] == PAGE and who in self.revoked:
            disown(scope)
            status = 303
        elif who.startswith("bogus") or who in self.revoked:
            status = 401
        elif who and scope["path"] != "/public":
            vouch_for(scope, who.partition("/")[0])
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(
        self,
        path: str = "/one",
        *,
        who: str = "ann",
        client: str = "192.0.2.1",
        chunks: Sequence[bytes] = (b"",),
        **headers: str,
    ) -> "Told":
        """One request to its end."""
        told = Told()
        left = deque(chunks)

        async def receive() -> Message:
            self.bodies_read += 1
            return {"type": "http.request", "body": left.popleft(), "more_body": bool(left)}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                told.status = message["status"]
                told.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                told.body += message["body"]

        lines = {"cookie" if path == PAGE else "authorization": who} if who else {}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "client": (client, 1),
            "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
        }
        await self.app(scope, receive, send)
        return told

    @asynccontextmanager
    async def holding(self, count: int, path: str = "/one", **more: Any) -> AsyncIterator[None]:
        """So many requests are in hand, and are answered at the end."""
        before = len(self.in_hand)
        tasks = [asyncio.create_task(self.ask(path, **more)) for _ in range(count)]
        await rounds()
        mine = self.in_hand[before:]
        assert len(mine) == count
        yield
        for one in mine:
            one.set_result(None)
        assert {(await task).status for task in tasks} <= {202, 303, 401}

    async def told(self, path: str = "/one", **more: Any) -> "Told":
        """What one more is told, at once or as soon as it got in."""
        task = asyncio.create_task(self.ask(path, **more))
        before = len(self.in_hand)
        await rounds()
        if len(self.in_hand) > before:
            self.in_hand[-1].set_result(None)
        await rounds()
        assert task.done()
        return task.result()

    async def takes(self, path: str = "/one", **more: Any) -> bool:
        """Whether one more gets in; it is answered at once."""
        return (await self.told(path, **more)).status not in (429, 503)


@dataclass
class Told:
    """An answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def kind(self) -> str:
        """Of the problem."""
        return str(json.loads(self.body)["type"]).rpartition(":")[2]


async def rounds() -> None:
    """Until all that can go on by itself has."""
    for _ in range(20):
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)  # a wait of no time is a timer, too
    for _ in range(20):
        await asyncio.sleep(0)


async def a_door(*, places: int, per_caller: int = 1000) -> Door:
    """Where Ann and Bob are known."""
    door = Door(places=places, per_caller=per_caller)
    assert await door.takes(who="ann")
    assert await door.takes(who="bob")
    door.bodies_read = 0
    return door
