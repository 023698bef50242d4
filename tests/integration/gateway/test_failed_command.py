"""`carillon failed` and the gateway itself understand each other."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import uvicorn
from typer.testing import Result

from tests.fakes.failed import failed as run
from tests.integration.gateway.conftest import Gateway
from tests.integration.gateway.failing import BROKEN, SCOPES, Worker, failed, failed_for

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
async def command(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Command]:
    """`carillon failed …` as a process of its own would ask the gateway, with a key that may."""
    [sender] = gateway.peers.keys.values()
    key = gateway.peers.add_key(scopes=SCOPES, owner=sender.owner)
    server = uvicorn.Server(uvicorn.Config(gateway.app, log_config=None, lifespan="off", ws="none"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        monkeypatch.setenv("CARILLON_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setenv("CARILLON_API_KEY", key)
        serving = asyncio.create_task(server.serve(sockets=[listening]))

        async def command(*arguments: object) -> Result:
            return await asyncio.to_thread(run, *arguments)

        yield command
        server.should_exit = True
        await serving


async def test_what_failed_is_found_sent_again_and_discarded(
    gateway: Gateway, command: Command, tmp_path: Path
) -> None:
    refused, broken = await failed(gateway, 12), await failed_for(gateway, BROKEN, 3)
    causes = json.loads((await command("summary", "--json")).stdout)["causes"]
    assert [cause["count"] for cause in causes] == [12, 3]
    await command("export", "-o", tmp_path / "all")
    exported = [json.loads(line) for line in (tmp_path / "all").read_text().splitlines()]
    assert {line["notification_id"] for line in exported} == {str(each.id) for each in refused + broken}

    [one, *_] = [line["id"] for line in exported if line["error_type"] == BROKEN.kind]
    assert BROKEN.message in (await command("show", one)).stdout
    async with Worker(gateway) as worker:
        again = await command("reprocess", "--cause", causes[0]["cause"], "--yes", "--json")
        assert again.exit_code == 0, again.output
        changed = await command("reprocess", one, "--variables", '{"name": "Bob"}')
        assert changed.exit_code == 0, changed.output
    job = json.loads(again.stdout)
    assert (job["status"], job["released"], job["sent"]) == ("completed", 12, 12)
    assert [worker.sent.count(each.id) for each in refused] == [1] * 12

    twice = await command("reprocess", one)
    assert twice.exit_code == 1
    assert "correlation id" in twice.stderr
    rest = await command("discard", "--error-type", BROKEN.kind, "--reason", "withdrawn", "--yes")
    assert (rest.exit_code, "2 are discarded" in rest.stderr) == (0, True), rest.output
    assert (await command("list")).stdout.count("\n") == 1
    acts = [act["act"] for act in json.loads((await command("audit", "--json")).stdout)]
    assert {"job.started", "job.completed", "reprocessed", "discarded"} <= set(acts)
