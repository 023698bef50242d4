"""The load generator against a real server, and the sink against a real sender."""

import asyncio
import smtplib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from carillon.bench import sink
from carillon.bench.http_exchange import parse_reply
from carillon.bench.journal import SinkJournal
from carillon.bench.load import run
from carillon.bench.load_plan import LoadPlan, LoadResult
from carillon.embedded import ports

ACCEPTED = b'{"id": "%s"}'
Answering = Callable[[int], Awaitable[bytes | None]]


class Server:
    """Answers the n-th request with what `answering` gives; None breaks the connection."""

    def __init__(self, answering: Answering) -> None:
        self.requests: list[bytes] = []
        self.port = 0
        self._answering = answering

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                body = await self._answering(len(self.requests))
                if body is None:
                    break
                writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


Serving = Callable[[Answering], Awaitable[Server]]


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    started: list[asyncio.Server] = []

    async def start(answering: Answering) -> Server:
        server = Server(answering)
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        started.append(listening)
        return server

    yield start
    for each in started:
        each.close()
    await asyncio.sleep(0)


async def loaded(
    server: Server, folder: Path, *, count: int, connections: int, rate: float | None = None
) -> LoadResult:
    """What became of `count` requests."""
    requests = folder / "requests"
    requests.write_text("".join(f'key-{number}\t{{"n": {number}}}\n' for number in range(count)))
    plan = LoadPlan(
        port=server.port,
        path="/send",
        authorization="Bearer me",
        connections=connections,
        requests_file=str(requests),
        result_file="",
        rate=rate,
    )
    return await run(plan, enough=asyncio.Event())


async def named(number: int) -> bytes:
    return b'{"id": "n-%d"}' % number


async def test_each_request_is_sent_once_with_its_own_key(serving: Serving, tmp_path: Path) -> None:
    server = await serving(named)
    result = await loaded(server, tmp_path, count=50, connections=8)
    sent = {request.split(b"Idempotency-Key: ")[1].split(b"\r\n")[0] for request in server.requests}
    assert sent == {b"key-%d" % number for number in range(50)}
    assert sorted(result.accepted_ids()) == sorted(f"n-{number}" for number in range(1, 51))
    assert all(answer.status == 202 for answer in result.answers)


async def test_of_a_batch_only_what_was_accepted_counts(serving: Serving, tmp_path: Path) -> None:
    async def batch(_number: int) -> bytes:
        return b'{"results": [{"index": 0, "id": "a"}, {"index": 1, "error": {"title": "no"}}]}'

    result = await loaded(await serving(batch), tmp_path, count=1, connections=1)
    assert list(result.accepted_ids()) == ["a"]


async def test_a_broken_connection_is_an_unanswered_request_and_the_rest_goes_on(
    serving: Serving, tmp_path: Path
) -> None:
    async def third_breaks(number: int) -> bytes | None:
        return None if number == 3 else await named(number)

    result = await loaded(await serving(third_breaks), tmp_path, count=6, connections=1)
    assert sorted(answer.status for answer in result.answers) == [0, 202, 202, 202, 202, 202]


async def test_who_waits_behind_a_slow_answer_has_waited(serving: Serving, tmp_path: Path) -> None:
    stall_s = 0.3

    async def first_stalls(number: int) -> bytes:
        if number == 1:
            await asyncio.sleep(stall_s)
        return await named(number)

    result = await loaded(await serving(first_stalls), tmp_path, count=20, connections=1, rate=100)
    in_order = sorted(result.answers, key=lambda answer: answer.due_ns)
    waited_s = [(answer.done_ns - answer.due_ns) / 1e9 for answer in in_order]
    # Due 10 ms apart: the second has waited for all of the stall but its own 10 ms, and so on.
    assert all(waited >= stall_s - 0.01 * number - 0.005 for number, waited in enumerate(waited_s[:10]))


async def test_no_more_is_sent_once_there_is_enough(serving: Serving, tmp_path: Path) -> None:
    enough = asyncio.Event()

    async def fifth_suffices(number: int) -> bytes:
        if number == 5:
            enough.set()
        return await named(number)

    server = await serving(fifth_suffices)
    requests = tmp_path / "requests"
    requests.write_text("".join(f"key-{number}\t{{}}\n" for number in range(100)))
    plan = LoadPlan(
        port=server.port,
        path="/",
        authorization="",
        connections=1,
        requests_file=str(requests),
        result_file="",
    )
    assert len((await run(plan, enough=enough)).answers) == 5


@pytest.mark.parametrize("cut", range(1, 60))
def test_an_answer_is_whole_only_with_its_last_byte(cut: int) -> None:
    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 12\r\nx: y\r\n\r\n" + b'{"id": "abc"}'[:12]
    reply = parse_reply(answer[:cut])
    assert (reply is not None) == (cut >= len(answer))


def test_an_answer_without_a_length_is_no_answer() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        parse_reply(b"HTTP/1.1 200 OK\r\n\r\n{}")


async def test_the_sink_writes_down_what_a_real_sender_sends(tmp_path: Path) -> None:
    port, record = ports.free_port(), tmp_path / "journal"
    serving = asyncio.create_task(sink.serve(port, record))
    while not record.exists():
        await asyncio.sleep(0.01)
    await asyncio.to_thread(send_two, port)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert [each.notification_id for each in SinkJournal(record).read()] == ["one", "two"]


def send_two(port: int) -> None:
    """On one connection."""
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        for name in ("one", "two"):
            mail = f"Message-ID: <{name}.1@x>\r\nSubject: Hi\r\n\r\n.begins with a dot\r\n.\r\nends\r\n"
            client.sendmail("a@example.com", ["b@example.com"], mail)
