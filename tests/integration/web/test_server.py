"""What only a real process with a real socket shows."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.architecture.source import ROOT

MODULE = "tests.integration.web.demo_process"


@dataclass
class Running:
    """A service process and what it has said."""

    process: subprocess.Popen[str]
    url: str
    reader: threading.Thread
    lines: list[str]

    def wait_for(self, words: str) -> None:
        """Until it says these words."""
        deadline = time.monotonic() + 30
        while not any(words in line for line in self.lines):
            assert self.process.poll() is None, self.lines
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.01)

    def wait_for_the_rest(self) -> None:
        """Until a process that has ended has been read to its last word."""
        self.reader.join(30)

    def end(self, signal_number: int) -> int:
        """Send a signal; gives the exit code."""
        self.process.send_signal(signal_number)
        return self.process.wait(30)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def environment(**settings: str) -> dict[str, str]:
    """With these settings and no others."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("CARILLON_")}
    return others | {f"CARILLON_{name.upper()}": value for name, value in settings.items()}


@contextmanager
def service(**settings: str) -> Iterator[Running]:
    """The demo service on a port of its own."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE],
        cwd=ROOT,
        env=environment(port=str(port), log_format="json", **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    reader = threading.Thread(target=lines.extend, args=(process.stdout,))
    running = Running(process, f"http://127.0.0.1:{port}", reader, lines)
    reader.start()
    try:
        running.wait_for("service.started")
        yield running
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()


def test_bodies_that_are_refused_leave_the_connection_usable() -> None:
    with service() as running, httpx.Client(base_url=running.url) as client:
        headers = {"Content-Type": "application/json"}
        for content, status in (
            (b" " * 3_000_000, 413),
            (b"[" * 100_000, 400),
            (b'{"name": "a"}', 200),
        ):
            assert client.post("/things", content=content, headers=headers).status_code == status
        too_much = (b" " * 100_000 for _ in range(30))
        assert client.post("/things", content=too_much, headers=headers).status_code == 413
        assert client.post("/things", json={"name": "a"}).status_code == 200


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_finish_and_ends_well(signal_number: int) -> None:
    with service() as running:
        answers: list[str] = []
        asking = threading.Thread(
            target=lambda: answers.append(httpx.get(f"{running.url}/slow", timeout=10).json())
        )
        asking.start()
        running.wait_for("slow began")
        assert running.end(signal_number) == 0
        asking.join()
        assert answers == ["done"]
    assert any("lifespan ended" in line for line in running.lines)


def test_an_answer_that_would_last_ends_when_the_process_is_told_to_stop() -> None:
    with service() as running, httpx.stream("GET", f"{running.url}/stream", timeout=10) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "hello"
        running.process.send_signal(signal.SIGTERM)
        assert list(lines) == ["farewell"]
        assert running.process.wait(30) == 0


def test_a_process_that_hangs_in_one_request_ends_itself_and_says_where() -> None:
    with service(stall_limit_s="1") as running:
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{running.url}/hang", timeout=30)

        assert running.process.wait(30) == 1
        running.wait_for_the_rest()
    assert any("in hang" in line for line in running.lines)


def refusal_of(*arguments: str, **settings: str) -> tuple[int, str]:
    """Exit code and last words of a service that does not start."""
    done = subprocess.run(
        [sys.executable, "-m", MODULE, *arguments],
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stderr + done.stdout


def test_settings_that_are_wrong_are_named_in_a_sentence_without_their_values() -> None:
    code, said = refusal_of(port="hunter2", service_secret="hunter2")
    assert code == 2
    assert said.startswith("CARILLON_PORT: ")
    assert said.count("\n") == 1
    assert "hunter2" not in said
    code, said = refusal_of(environment="production")
    assert (code, said) == (2, "production needs a value of its own for CARILLON_SERVICE_SECRET\n")


def test_unknown_arguments_are_refused() -> None:
    code, said = refusal_of("sevre")
    assert code == 2
    assert "sevre" in said


def test_a_port_that_is_taken_is_named() -> None:
    with service() as running:
        port = running.url.rpartition(":")[2]
        code, said = refusal_of(port=port)
    assert code != 0
    assert port in said
    assert "Traceback" not in said
