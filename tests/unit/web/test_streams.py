"""An answer that lasts holds a place until it begins, and no longer."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from shared.web.admission import Admission, AdmissionMiddleware

STREAM = "/live"


class Streaming:
    """An app that begins each answer when it may, and ends it when it may, behind an admission."""

    def __init__(self, *, places: int) -> None:
        self.begin, self.end = asyncio.Event(), asyncio.Event()
        self.statuses: list[int] = []
        self.door = AdmissionMiddleware(
            self._answer,
            admission=Admission(
                places=places,
                places_per_caller=places,
                bulk_paths=frozenset(),
                stream_paths=frozenset({STREAM}),
                caller_address=lambda scope: str(scope["client"][0]),
                wait_s=0.0,
            ),
            max_body_bytes=1_000,
        )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.begin.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await self.end.wait()
        await send({"type": "http.response.body", "body": b""})

    def ask(self, path: str, *, client: int) -> "asyncio.Task[None]":
        """One request."""

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])

        scope: Scope = {"type": "http", "method": "GET", "path": path, "client": (client, 1), "headers": []}
        return asyncio.create_task(self.door(scope, receive, send))


@pytest.mark.parametrize(("path", "another_gets_in"), [(STREAM, True), ("/page", False)])
async def test_only_a_stream_gives_its_place_back_when_it_begins(path: str, another_gets_in: bool) -> None:
    app = Streaming(places=4)
    first = [app.ask(path, client=client) for client in (1, 2)]
    refused = app.ask(path, client=3)  # strangers have half of the places
    await refused
    assert app.statuses == [503]
    app.begin.set()
    while len(app.statuses) < 3:
        await asyncio.sleep(0)
    later = app.ask("/page", client=4)
    app.end.set()
    await asyncio.gather(*first, later)
    assert app.statuses[3:] == ([200] if another_gets_in else [503])
