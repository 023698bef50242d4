"""What `carillon status` says of what it finds."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import msgspec
from rich.console import Console

from carillon.readiness import Check, Condition, conditions
from carillon.run_record import RunRecord
from carillon.status import status_table


@contextmanager
def answering(answers: dict[str, tuple[int, bytes]]) -> Iterator[str]:
    """A server that answers by path, 404 elsewhere; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_development_tool_is_ready_once_it_is_alive() -> None:
    with answering({"/health": (200, b"ok")}) as url:
        [found] = await conditions({"mailbox": url})
    assert (found.alive, found.ready, found.complaint()) == (True, True, None)


async def test_what_is_not_required_is_no_complaint() -> None:
    checks = {"redis": {"ok": False, "detail": "away", "required": False}}
    answers = {
        "/health": (200, msgspec.json.encode({"version": "1"})),
        "/ready": (200, msgspec.json.encode({"checks": checks})),
    }
    with answering(answers) as url:
        [found] = await conditions({"gateway": url})
    assert found.checks == (Check(name="redis", ok=False, detail="away", required=False),)
    assert found.complaint() is None


def test_everything_has_a_state() -> None:
    addresses = {"mailbox": "http://localhost:8025", "user": "http://localhost:8001"}
    record = RunRecord(pid=1, addresses=addresses, services=["user"], database_url="", processes=[])
    found = [Condition(name=name, alive=name == "mailbox", ready=name == "mailbox") for name in addresses]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(status_table(record, found))
    mailbox, user = console.export_text().splitlines()[1:]
    assert mailbox.split() == ["mailbox", "http://localhost:8025", "ready"]
    assert user.split() == ["user", "http://localhost:8001", "down"]
