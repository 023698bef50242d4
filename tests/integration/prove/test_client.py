"""The client against real sockets: what it sends, what it writes down, and what it does with silence."""

import asyncio
import json
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from carillon.embedded import ports
from carillon.prove.witness.client import Load
from carillon.prove.witness.client_plan import ClientPlan, ClientSummary
from carillon.prove.witness.history import history
from carillon.prove.witness.journal import (
    Answered,
    Asked,
    Ended,
    Intent,
    JournalWriter,
    Record,
    Silent,
    read_journal,
)

Answering = Callable[[int, asyncio.StreamWriter], Awaitable[bytes | None]]
"""Of the n-th request, counted from 1: the whole answer, or None: the connection is reset."""


def answer(status: str = "202 Accepted", body: bytes = b'{"id": "n"}', *, head: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body


class Gateway:
    """Keeps what it was sent."""

    def __init__(self, answering: Answering) -> None:
        self.keys: list[str] = []
        self.marks: list[str] = []
        self.connections = 0
        self.port = 0
        self._answering = answering

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
                body = json.loads(await reader.readexactly(int(fields["Content-Length"])))
                self.keys.append(fields["Idempotency-Key"])
                self.marks += [each["metadata"]["mark"] for each in body.get("notifications", [body])]
                told = await self._answering(len(self.keys), writer)
                if told is None:
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    break
                writer.write(told)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


Serving = Callable[[Answering], Awaitable[Gateway]]


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    started: list[asyncio.Server] = []

    async def start(answering: Answering) -> Gateway:
        gateway = Gateway(answering)
        listening = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
        gateway.port = listening.sockets[0].getsockname()[1]
        started.append(listening)
        return gateway

    yield start
    for each in started:
        each.close()
    await asyncio.sleep(0)


async def accept(_number: int, _writer: asyncio.StreamWriter) -> bytes:
    return answer()


class Client:
    """One load in this process."""

    def __init__(self, folder: Path, port: int, **changes: object) -> None:
        usual: dict[str, object] = {
            "authorization": "Bearer me",
            "seed": 1,
            "marks_prefix": "test",
            "count": 1,
        }
        self.journal = folder / "journal"
        self.plan = msgspec.convert(
            {**usual, "port": port, "journal": str(self.journal), "longest_pause_s": 0.05, **changes},
            ClientPlan,
        )
        self._writer = JournalWriter(self.journal)
        self.load = Load(self.plan, self._writer)

    async def run(self) -> ClientSummary:
        async with asyncio.timeout(60):
            try:
                return await self.load.run()
            finally:
                self._writer.close()

    @property
    def records(self) -> list[Record]:
        return read_journal(self.journal)


async def test_every_notification_is_asked_for_once_on_kept_connections(
    serving: Serving, tmp_path: Path
) -> None:
    gateway = await serving(accept)
    summary = await Client(tmp_path, gateway.port, count=500, connections=8).run()
    assert len({*gateway.keys}) == len({*gateway.marks}) == len(gateway.keys) == 500
    assert gateway.connections <= 8
    assert (summary.notifications, summary.asks, summary.answers) == (500, 500, {"202": 500})


async def test_the_journal_says_intent_and_ask_before_the_request_is_out(
    serving: Serving, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"

    async def look(_number: int, _writer: asyncio.StreamWriter) -> bytes:
        at_the_server = [type(record) for record in read_journal(journal)]
        assert at_the_server == [Intent, Asked]
        return answer()

    client = Client(tmp_path, (await serving(look)).port)
    await client.run()
    assert [type(record) for record in client.records] == [Intent, Asked, Answered, Ended]


async def test_silence_is_asked_again_with_the_same_key(serving: Serving, tmp_path: Path) -> None:
    async def third_time(number: int, _writer: asyncio.StreamWriter) -> bytes | None:
        return answer() if number == 3 else None

    gateway = await serving(third_time)
    client = Client(tmp_path, gateway.port)
    await client.run()
    assert len(gateway.keys) == 3
    assert len({*gateway.keys}) == 1
    assert [type(each) for each in client.records] == [Intent, *[Asked, Silent] * 2, Asked, Answered, Ended]
    assert [each.why for each in client.records if isinstance(each, Silent)] == ["reset", "reset"]
    assert [each.ask for each in client.records if isinstance(each, Asked)] == [1, 2, 3]


@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests", "409 Conflict"])
async def test_not_now_is_asked_again(serving: Serving, tmp_path: Path, status: str) -> None:
    async def second_time(number: int, _writer: asyncio.StreamWriter) -> bytes:
        return answer() if number == 2 else answer(status, b"{}", head="retry-after: 1\r\n")

    client = Client(tmp_path, (await serving(second_time)).port)
    summary = await client.run()
    assert summary.answers == {status[:3]: 1, "202": 1}


async def test_a_refusal_is_taken_for_an_answer(serving: Serving, tmp_path: Path) -> None:
    async def refuse(_number: int, _writer: asyncio.StreamWriter) -> bytes:
        return answer("422 Unprocessable Entity", b'{"type": "urn:carillon:problem:validation"}')

    client = Client(tmp_path, (await serving(refuse)).port)
    await client.run()
    (record,) = [each for each in client.records if isinstance(each, Answered)]
    assert (record.status, record.kind) == (422, "validation")


async def test_no_answer_in_time_is_a_timeout_and_what_comes_later_is_nobodys(
    serving: Serving, tmp_path: Path
) -> None:
    async def first_is_late(number: int, writer: asyncio.StreamWriter) -> bytes:
        if number == 1:
            await writer.wait_closed()
        return answer(body=b'{"id": "n%d"}' % number)

    client = Client(tmp_path, (await serving(first_is_late)).port, connections=1, count=2, timeout_s=0.3)
    await client.run()
    assert [each.why for each in client.records if isinstance(each, Silent)] == ["timeout"]
    ids = [each for record in client.records if isinstance(record, Answered) for each in record.ids.values()]
    assert ids == ["n2", "n3"]


async def test_where_nobody_listens_nothing_was_sent(tmp_path: Path) -> None:
    client = Client(tmp_path, ports.free_port(), give_up_s=0.2)
    summary = await client.run()
    assert {*summary.silences} == {"refused"}
    told = history(clients=[client.records], providers=[], faults=[])
    assert [story.doubtful for story in told.stories.values()] == [False]


async def test_it_gives_up_in_the_end(serving: Serving, tmp_path: Path) -> None:
    async def never(_number: int, _writer: asyncio.StreamWriter) -> None:
        return None

    client = Client(tmp_path, (await serving(never)).port, give_up_s=0.2)
    await client.run()
    assert isinstance(client.records[-1], Ended)
    assert not any(isinstance(record, Answered) for record in client.records)


async def test_a_batch_is_one_request_with_an_id_for_each_entry(serving: Serving, tmp_path: Path) -> None:
    async def take(_number: int, _writer: asyncio.StreamWriter) -> bytes:
        return answer(body=json.dumps({"results": [{"index": n, "id": f"n{n}"} for n in range(20)]}).encode())

    gateway = await serving(take)
    client = Client(tmp_path, gateway.port, count=50, batch=20, connections=1)
    await client.run()
    assert (len(gateway.keys), len({*gateway.marks})) == (3, 50)
    told = history(clients=[client.records], providers=[], faults=[])
    assert all(story.accepted_t is not None for story in told.stories.values())


async def test_an_answer_that_closes_is_taken_and_the_next_request_finds_a_new_connection(
    serving: Serving, tmp_path: Path
) -> None:
    async def close(_number: int, _writer: asyncio.StreamWriter) -> bytes:
        return answer(head="Connection: close\r\n")

    gateway = await serving(close)
    summary = await Client(tmp_path, gateway.port, count=3, connections=1).run()
    assert (summary.answers, gateway.connections) == ({"202": 3}, 3)


async def test_what_is_no_http_is_no_answer(serving: Serving, tmp_path: Path) -> None:
    async def second_time(number: int, _writer: asyncio.StreamWriter) -> bytes:
        return answer() if number == 2 else b"220 mail.example.com\r\n\r\n"

    summary = await Client(tmp_path, (await serving(second_time)).port).run()
    assert (summary.silences, summary.answers) == ({"reset": 1}, {"202": 1})


async def test_an_open_loop_asks_on_while_nobody_answers(serving: Serving, tmp_path: Path) -> None:
    all_there = asyncio.Event()

    async def all_at_once(number: int, _writer: asyncio.StreamWriter) -> bytes:
        if number == 20:
            all_there.set()
        await all_there.wait()
        return answer()

    gateway = await serving(all_at_once)
    summary = await Client(tmp_path, gateway.port, count=20, connections=20, rate=1000).run()
    assert summary.answers == {"202": 20}


async def test_an_open_loop_keeps_its_pace_and_says_how_late_it_was(serving: Serving, tmp_path: Path) -> None:
    async def first_stalls(number: int, _writer: asyncio.StreamWriter) -> bytes:
        if number == 1:
            await asyncio.sleep(0.3)
        return answer()

    client = Client(tmp_path, (await serving(first_stalls)).port, count=5, connections=1, rate=100)
    summary = await client.run()
    # The second was due after 10 ms, and its connection was free after 300.
    assert summary.late_ms >= 280


async def test_an_open_loop_holds_no_more_in_hand_than_it_may(serving: Serving, tmp_path: Path) -> None:
    enough = asyncio.Event()

    async def wait(_number: int, _writer: asyncio.StreamWriter) -> bytes:
        await enough.wait()
        return answer()

    gateway = await serving(wait)
    client = Client(tmp_path, gateway.port, count=50, connections=50, rate=10_000, most_in_hand=3)
    running = asyncio.create_task(client.run())
    while len(gateway.keys) < 3:
        await asyncio.sleep(0.01)
    intended = sum(isinstance(record, Intent) for record in client.records)
    enough.set()
    assert intended == 3
    assert (await running).answers == {"202": 50}


async def test_what_still_waits_for_a_connection_at_the_end_is_not_asked_for(
    serving: Serving, tmp_path: Path
) -> None:
    async def told_to_end(_number: int, _writer: asyncio.StreamWriter) -> bytes:
        while len(asyncio.all_tasks()) < 20:
            await asyncio.sleep(0.01)
        client.load.end()
        return answer()

    client = Client(tmp_path, (await serving(told_to_end)).port, count=20, connections=1, rate=10_000)
    summary = await client.run()
    assert (summary.notifications, summary.asks) == (1, 1)
    assert summary.skipped > 0


async def test_seconds_end_a_load(serving: Serving, tmp_path: Path) -> None:
    gateway = await serving(accept)
    client = Client(tmp_path, gateway.port, count=None, seconds=0.2, connections=2)
    await client.run()
    assert isinstance(client.records[-1], Ended)


@pytest.mark.parametrize("rate", [None, 200.0])
async def test_a_client_told_to_end_sees_through_what_it_began(
    serving: Serving, tmp_path: Path, rate: float | None
) -> None:
    """As a process, as the orchestrator runs it."""
    told = asyncio.Event()

    async def after_the_signal(number: int, _writer: asyncio.StreamWriter) -> bytes | None:
        if not told.is_set():
            process.send_signal(signal.SIGTERM)
            told.set()
            return None
        return answer()

    gateway = await serving(after_the_signal)
    plan = Client(tmp_path, gateway.port, count=1_000_000, connections=1, rate=rate).plan
    plan_file = tmp_path / "plan"
    plan_file.write_bytes(msgspec.json.encode(plan))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "carillon.prove.witness.client", plan_file, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    summary = msgspec.json.decode(output, type=ClientSummary)
    records = read_journal(tmp_path / "journal")
    assert process.returncode == 0
    assert isinstance(records[-1], Ended)
    first = next(record.key for record in records if isinstance(record, Intent))
    last = [record for record in records if isinstance(record, Answered) and record.key == first]
    assert [record.status for record in last] == [202]
    assert summary.notifications < 1_000_000
