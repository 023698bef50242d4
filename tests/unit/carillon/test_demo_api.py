"""How the demo asks: the same request again, and how long the answer took."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from carillon.api import Api
from carillon.api_answers import Refused


@dataclass
class Gateway:
    """Gives its answers in turn, the last one again and again."""

    answers: list[tuple[int, bytes]]
    url: str = ""
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def gateway(*answers: tuple[int, bytes]) -> Iterator[Gateway]:
    """A real server on the loopback interface."""
    told = Gateway(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            told.keys.append(self.headers["Idempotency-Key"])
            told.paths.append(self.path)
            status, body = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        told.url = f"http://127.0.0.1:{server.server_port}"
        yield told
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("first", [(503, b""), (429, b""), (0, b"")], ids=["503", "429", "no answer"])
async def test_not_now_is_asked_again_with_the_same_key(first: tuple[int, bytes]) -> None:
    with gateway(first, (202, b"{}")) as told:
        api = Api(told.url, "ck_live_x", first_pause_s=0.001)
        answer = await api.post("/notifications", {}, key="one")
        await api.close()
    assert answer.status == 202
    assert answer.took_s > 0
    assert told.keys == ["one", "one"]
    assert told.paths == ["/api/v1/notifications"] * 2


async def test_a_no_is_not_asked_again_and_says_what_is_wrong() -> None:
    problem = b'{"title": "x", "errors": [{"field": "variables.name", "message": "is required"}]}'
    with gateway((422, problem)) as told:
        api = Api(told.url, "ck_live_x", first_pause_s=0.001)
        answer = await api.post("/notifications", {}, key="one")
        await api.close()
    assert len(told.keys) == 1
    with pytest.raises(Refused, match=r"variables\.name is required"):
        answer.require()


async def test_no_answer_at_all_is_told_in_the_end() -> None:
    with gateway((0, b"")) as told:
        api = Api(told.url, "ck_live_x", first_pause_s=0.001)
        with pytest.raises(Refused, match="no answer"):
            await api.post("/notifications", {}, key="one")
        await api.close()
    assert set(told.keys) == {"one"}
