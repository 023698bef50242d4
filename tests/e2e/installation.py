"""A whole installation, started as a person would start it, on ports of its own."""

import contextlib
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx
import psutil

from carillon.embedded import ports as tcp
from carillon.run_record import read_record
from carillon.services import SERVICES

STARTS_WITHIN_S = 90.0
STOPS_WITHIN_S = 60.0
ASKED_AGAIN_FOR_S = 20.0
_USUAL_PORTS = (1025, 8025, 8026, *(service.port for service in SERVICES))
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What a client, an operator and somebody with a shell on the machine can do."""

    process: subprocess.Popen[bytes]
    home: Path
    output: Path
    offset: int
    admin: tuple[str, str]
    api: httpx.Client
    api_key: str

    def url(self, port: int) -> str:
        """Of what usually listens on `port`."""
        return f"http://127.0.0.1:{port + self.offset}"

    def pid(self, name: str) -> int:
        """The process that runs a service at the moment."""
        record = read_record(self.home / "running.json")
        assert record is not None
        return next(process.pid for process in record.processes if process.name == name)

    def kill(self, name: str) -> None:
        """kill -9; returns once the process is gone."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(10)

    def recipient(self, **fields: Any) -> str:
        """A new recipient with a mail address of their own; the id."""
        body = {"name": "Ann Example", "email": f"ann-{secrets.token_hex(6)}@example.com", **fields}
        body.setdefault("external_id", secrets.token_hex(8))
        answer = self._asked_again("/users", body)
        if answer.status_code == 409:
            # An answer before said 503, and it had been made all the same.
            found = self.api.get("/users", params={"external_id": body["external_id"]}).json()["items"]
            return str(found[0]["id"])
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    def template(self, **fields: Any) -> str:
        """A new published template with the variable `name`; the code."""
        code = f"hello-{secrets.token_hex(4)}"
        body = {
            "code": code,
            "name": "Hello",
            "notification_type": "email",
            "language": "en",
            "subject": "Hello {{ name }}",
            "body": "<p>Hello {{ name }}</p>",
            **fields,
        }
        self.post("/templates", body)
        self.post(f"/templates/{code}/versions/1/publish", None)
        return code

    def post(self, path: str, body: object) -> dict[str, Any]:
        """What is answered to a POST that succeeds."""
        answer = self._asked_again(path, body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def _asked_again(self, path: str, body: object) -> httpx.Response:
        """As a client does where 503 asks for it: a machine that stands still for seconds is no failure."""
        deadline = time.monotonic() + ASKED_AGAIN_FOR_S
        while True:
            answer = self.api.post(path, json=body) if body is not None else self.api.post(path)
            if answer.status_code != 503 or time.monotonic() > deadline:
                return answer
            time.sleep(float(answer.headers["Retry-After"]))

    def notify(self, user_id: str, code: str, **fields: Any) -> str:
        """Accept one mail; the id."""
        body = {
            "user_id": user_id,
            "notification_type": "email",
            "template_code": code,
            "variables": {"name": "Ann"},
            **fields,
        }
        return str(self.post("/notifications", body)["id"])

    def notification(self, notification_id: str) -> dict[str, Any]:
        """As the API shows it."""
        answer = self.api.get(f"/notifications/{notification_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_for(self, notification_id: str, status: str = "sent", *, within_s: float = 30) -> dict[str, Any]:
        """The notification once it has the status."""
        return eventually(
            lambda: self.notification(notification_id),
            lambda found: found["status"] == status,
            within_s=within_s,
        )

    def mails_to(self, address: str) -> list[dict[str, Any]]:
        """Every mail in the mailbox for this address."""
        found = httpx.get(f"{self.url(8025)}/api/v1/search", params={"query": f"to:{address}", "limit": 1000})
        return list(found.json()["messages"])

    def mails(self) -> Iterator[dict[str, Any]]:
        """Every mail in the mailbox."""
        start = 0
        while True:
            page = httpx.get(
                f"{self.url(8025)}/api/v1/messages", params={"start": start, "limit": 500}
            ).json()
            yield from page["messages"]
            start += 500
            if start >= page["total"]:
                return

    def empty_mailbox(self) -> None:
        """Throw all mails away."""
        httpx.delete(f"{self.url(8025)}/api/v1/messages").raise_for_status()

    def log(self) -> str:
        """Everything that was printed so far."""
        return self.output.read_text(errors="replace")


def eventually(ask: Callable[[], AnswerT], holds: Callable[[AnswerT], bool], *, within_s: float) -> AnswerT:
    """Ask until it holds; fails with the last answer."""
    deadline = time.monotonic() + within_s
    while True:
        answer = ask()
        if holds(answer):
            return answer
        assert time.monotonic() < deadline, f"not within {within_s} s: {answer}"
        time.sleep(0.1)


@contextlib.contextmanager
def running_installation(folder: Path, **environment: str) -> Iterator[Installation]:
    """`carillon up` with its state in `folder`; ended with SIGTERM, and checked that it ends."""
    offset = free_offset()
    output = folder / "output"
    with output.open("ab") as log:
        process = _start(folder / "home", offset, log, environment)
    try:
        admin, api_key = _credentials(process, output)
        with httpx.Client(
            base_url=f"http://127.0.0.1:{8000 + offset}/api/v1",
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=30,
            limits=httpx.Limits(max_connections=200),
            trust_env=False,
        ) as api:
            yield Installation(
                process=process,
                home=folder / "home",
                output=output,
                offset=offset,
                admin=admin,
                api=api,
                api_key=api_key,
            )
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _start(home: Path, offset: int, log: IO[bytes], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CARILLON_")}
    own = {"CARILLON_HOME": str(home), "CARILLON_PORT_OFFSET": str(offset), "NO_COLOR": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "carillon", "up"],
        env=inherited | own | environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _credentials(process: subprocess.Popen[bytes], output: Path) -> tuple[tuple[str, str], str]:
    def printed() -> tuple[re.Match[str] | None, re.Match[str] | None]:
        assert process.poll() is None, output.read_text(errors="replace")[-5000:]
        text = output.read_text(errors="replace")
        return (
            re.search(r"^CARILLON_ADMIN=([^:\s]+):(\S+)$", text, re.MULTILINE),
            re.search(r"^CARILLON_API_KEY=(\S+)$", text, re.MULTILINE),
        )

    admin, key = eventually(printed, all, within_s=STARTS_WITHIN_S)
    assert admin is not None
    assert key is not None
    return (admin[1], admin[2]), key[1]


def free_offset() -> int:
    """One at which every port is free."""
    while True:
        offset = random.randrange(10_000, 24_000, 10)
        if all(tcp.is_free(port + offset, "127.0.0.1") for port in _USUAL_PORTS):
            return offset
