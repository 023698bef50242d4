"""The health check of a container, run as the container runs it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tests.architecture.source import ROOT


@contextmanager
def server(status: int) -> Iterator[int]:
    """Answers /health with `status`, anything else with 404; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- named by the library
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield http.server_port
        http.shutdown()
        thread.join()


def probe(port: int) -> int:
    """The exit code."""
    command = [sys.executable, "-S", "-m", "shared.web.probe", str(port)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_a_service_is_healthy_where_health_is_200(status: int, code: int) -> None:
    with server(status) as port:
        assert probe(port) == code


def test_a_port_that_nobody_listens_on_is_not_healthy() -> None:
    with server(200) as port:
        pass
    assert probe(port) == 1
