"""What the FCM provider sends is what Google's own description of the API allows."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from carillon.embedded.ports import free_port
from push_service.providers.fcm import FcmProvider, read_service_account
from shared.delivery.outcomes import Accepted
from shared.process.clock import SystemClock
from tests.channels.calls import a_push_call
from tests.fakes.fcm import FakeFcm

CONFORMANCE = Path(__file__).parents[3] / "shared/conformance"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of the server that knows Google's description, and its record of calls."""
    if not (CONFORMANCE / "spec_gate.py").exists():
        assert not os.environ.get("CI"), "the conformance material is missing"
        pytest.skip("../shared/conformance is not there")
    port, calls = free_port(), tmp_path / "calls.jsonl"
    process = subprocess.Popen(
        [sys.executable, str(CONFORMANCE / "spec_gate.py"), str(port), str(CONFORMANCE / "specs"), str(calls)]
    )
    try:
        transport = httpx.HTTPTransport(retries=8)
        with httpx.Client(transport=transport) as client:
            client.get(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}/fcm", calls
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize(
    ("title", "body", "category"),
    [
        ("Your order", "It has shipped", "transactional"),
        ("", "No title", "security"),
        ("Sale 😀", "Größe 38", "promotional"),
    ],
)
async def test_request_keeps_to_google_s_description(
    *, gate: tuple[str, Path], tmp_path: Path, title: str, body: str, category: str
) -> None:
    url, calls = gate
    async with FakeFcm() as google:
        provider = FcmProvider(
            partial(read_service_account, google.write_account(tmp_path)), url=url, clock=SystemClock()
        )
        try:
            outcome = await provider.send(a_push_call(title=title, body=body, category=category))
        finally:
            await provider.close()
    (call,) = [json.loads(line) for line in calls.read_text().splitlines() if '"POST"' in line]
    assert call["violations"] == []
    assert call["path"] == "/v1/projects/carillon-test/messages:send"
    assert outcome == Accepted(provider_message_id="projects/p/messages/1")
