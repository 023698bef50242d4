"""The fake mail server: over real sockets, and as the product's own provider meets it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from carillon.embedded.ports import free_port
from carillon.prove.witness.behaviour import Do, Rule
from carillon.prove.witness.control import Command, ControlFailure
from carillon.prove.witness.journal import Effect, read_journal
from carillon.prove.witness.mail_server import mail_server
from carillon.prove.witness.smtp_dialogue import LARGEST_MAIL
from shared.delivery.outcomes import Accepted, Outcome, Rejected, Retryable, Throttled, Unknown
from tests.channels.calls import an_email_call
from tests.channels.smtp_support import provider_for, summary
from tests.integration.prove.providers import WITHIN_S, Running, a_place, started

ENVELOPE = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
MAIL = b"Message-ID: <1@x>\r\nSubject: Hi\r\n\r\nproof-mark:aaaaaaaa\r\n.\r\n"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    place = a_place(tmp_path)
    async with mail_server(place) as provider:
        yield Running(port=provider.port, place=place)


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, port: int, *, greeting: int = 220) -> "Client":
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        assert await client.codes(1) == [greeting]
        return client

    async def say(self, data: bytes, *, at_once: int | None = None) -> None:
        step = at_once or len(data)
        for start in range(0, len(data), step):
            self._writer.write(data[start : start + step])
            await self._writer.drain()

    async def codes(self, count: int) -> list[int]:
        """Of the next answers, however many lines they have."""
        found: list[int] = []
        while len(found) < count:
            line = await asyncio.wait_for(self._reader.readline(), WITHIN_S)
            if line[3:4] != b"-":
                found.append(int(line[:3]))
        return found

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        return await asyncio.wait_for(self._reader.read(), WITHIN_S)

    async def close(self) -> None:
        self._writer.close()


async def greeted(server: Running) -> Client:
    client = await Client.to(server.port)
    await client.say(b"EHLO me\r\n")
    assert await client.codes(1) == [250]
    return client


@pytest.mark.parametrize(
    ("do", "outcome", "effects"),
    [
        (Do.ACCEPT, (Accepted, ""), 1),
        (Do.SLOW, (Accepted, ""), 1),
        (Do.ACCEPT_RESET, (Unknown, "provider.disconnected"), 1),
        (Do.GARBAGE, (Unknown, "provider.disconnected"), 1),
        (Do.RESET, (Unknown, "provider.disconnected"), 0),
        (Do.THROTTLE, (Throttled, "provider.throttled"), 0),
        (Do.REFUSE_TEMPORARILY, (Retryable, "provider.unavailable"), 0),
        (Do.TROUBLE, (Retryable, "provider.unavailable"), 0),
        (Do.REFUSE, (Rejected, "address.refused"), 0),
        (Do.REFUSE_GREETING, (Retryable, "provider.unavailable"), 0),
    ],
)
async def test_the_products_provider_takes_each_rule_for_what_it_is(
    server: Running, do: Do, outcome: tuple[type[Outcome], str], effects: int
) -> None:
    await server.rules(Rule(do=do, seconds=0.05))
    async with provider_for(server.port) as provider:
        got = await provider.send(an_email_call(text="Hello, proof-mark:aaaaaaaa\n"))
    assert summary(got) == outcome
    assert server.effects() == ["aaaaaaaa"] * effects
    mark = "" if do is Do.REFUSE_GREETING else "aaaaaaaa"
    assert server.calls() == [(mark, do.value)] * (1 - effects)


async def test_a_throttled_sender_is_told_for_how_long(server: Running) -> None:
    await server.rules(Rule(do=Do.THROTTLE, seconds=6.5))
    async with provider_for(server.port) as provider:
        outcome = await provider.send(an_email_call())
    assert isinstance(outcome, Throttled)
    assert outcome.after_s == 7.0


async def test_a_delivery_is_recorded_with_its_recipient_and_message_id(server: Running) -> None:
    call = an_email_call(
        address="jörg@example.com", subject="Größe proof-mark:größe", text="proof-mark:bbbbbbbb"
    )
    async with provider_for(server.port) as provider:
        assert isinstance(await provider.send(call), Accepted)
    (effect,) = read_journal(server.place.journal)
    assert isinstance(effect, Effect)
    assert (effect.mark, effect.to) == ("bbbbbbbb", "jörg@example.com")
    assert effect.message_id.startswith(call.message_id)


async def test_the_effect_is_on_disk_before_the_answer_goes_out(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_answer = asyncio.Event()
    loop = asyncio.get_running_loop()
    fsynced: list[list[str]] = []
    fsync = os.fsync

    def fsync_when_told(file: int) -> None:
        asyncio.run_coroutine_threadsafe(may_answer.wait(), loop).result(WITHIN_S)
        fsync(file)
        fsynced.append(server.effects())

    monkeypatch.setattr(os, "fsync", fsync_when_told)
    client = await greeted(server)
    await client.say(ENVELOPE + MAIL + b"NOOP\r\n")
    assert await client.codes(3) == [250, 250, 354]
    answer = asyncio.create_task(client.codes(2))
    await server.until(lambda counts: counts.effects == 1)
    assert not answer.done()
    may_answer.set()
    assert await answer == [250, 250]
    assert fsynced == [["aaaaaaaa"]]
    await client.close()


async def test_where_the_journal_fails_nobody_is_told_and_the_server_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(os, "fsync", fail)
    async with mail_server(a_place(tmp_path)) as provider:
        client = await Client.to(provider.port)
        await client.say(b"EHLO me\r\n" + ENVELOPE + MAIL)
        assert await client.codes(4) == [250, 250, 250, 354]
        with pytest.raises(OSError, match="the disk is gone"):
            await asyncio.wait_for(provider.ended, WITHIN_S)
    assert await client.rest() == b""
    await client.close()


async def test_a_mail_taken_before_has_no_second_effect_while_keys_are_known(server: Running) -> None:
    call = an_email_call(text="proof-mark:cccccccc")
    async with provider_for(server.port) as provider:
        await server.order(Command(keys=600))
        await server.rules(Rule(do=Do.ACCEPT_RESET, first=1))
        assert isinstance(await provider.send(call), Unknown)
        assert isinstance(await provider.send(call), Accepted)
        assert server.effects() == ["cccccccc"]
        assert server.calls() == [("cccccccc", "repeat")]
        await server.order(Command(keys=0))
        assert isinstance(await provider.send(call), Accepted)
    assert server.effects() == ["cccccccc"] * 2


@pytest.mark.parametrize(("do", "effects"), [(Do.HANG, 0), (Do.ACCEPT_SILENT, 1)])
async def test_what_hangs_is_counted_until_it_is_released_or_its_peer_goes(
    server: Running, do: Do, effects: int
) -> None:
    await server.rules(Rule(do=do))
    left, goes = await greeted(server), await greeted(server)
    for client in (left, goes):
        await client.say(ENVELOPE + MAIL)
        assert await client.codes(3) == [250, 250, 354]
    await server.until(lambda counts: counts.hanging == 2)
    await goes.close()
    await server.until(lambda counts: counts.hanging == 1)
    counts = await server.order(Command(release=True))
    assert counts.hanging == 0
    assert await left.rest() == b""
    assert (counts.calls, counts.effects) == (2, 2 * effects)
    await left.close()


@pytest.mark.parametrize(("do", "effects"), [(Do.RESET, 0), (Do.ACCEPT_RESET, 1)])
async def test_a_reset_is_one_and_comes_after_the_whole_mail(server: Running, do: Do, effects: int) -> None:
    await server.rules(Rule(do=do))
    client = await greeted(server)
    await client.say(ENVELOPE)
    assert await client.codes(3) == [250, 250, 354]
    await client.say(MAIL)
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert server.effects() == ["aaaaaaaa"] * effects
    await client.close()


async def test_a_slow_effect_comes_even_if_the_peer_has_gone(server: Running) -> None:
    await server.rules(Rule(do=Do.SLOW, seconds=0.2))
    client = await greeted(server)
    await client.say(ENVELOPE + MAIL)
    assert await client.codes(3) == [250, 250, 354]
    await server.until(lambda counts: counts.calls == 1)
    await client.close()
    await server.until(lambda counts: counts.effects == 1)


@pytest.mark.parametrize("at_once", [None, 1, 7])
async def test_pipelined_mails_are_each_taken_however_they_are_cut(
    server: Running, at_once: int | None
) -> None:
    client = await greeted(server)
    dotted = MAIL.replace(b"Hi\r\n\r\n", b"Hi\r\n\r\n..\r\n")
    await client.say(ENVELOPE + MAIL + b"RSET\r\n" + ENVELOPE + dotted + b"QUIT\r\n", at_once=at_once)
    assert await client.codes(10) == [250, 250, 354, 250, 250, 250, 250, 354, 250, 221]
    assert await client.rest() == b""
    assert server.effects() == ["aaaaaaaa"] * 2
    await client.close()


async def test_what_comes_while_a_mail_is_decided_on_waits_its_turn(server: Running) -> None:
    await server.rules(Rule(do=Do.SLOW, first=1, seconds=0.05))
    client = await greeted(server)
    large = b"Subject: Hi\r\n\r\n" + (b"x" * 998 + b"\r\n") * 20 + b"proof-mark:aaaaaaaa\r\n.\r\n"
    saying = asyncio.create_task(client.say((ENVELOPE + large) * 100))
    assert await client.codes(400) == [250, 250, 354, 250] * 100
    await saying
    assert server.effects() == ["aaaaaaaa"] * 100
    await client.close()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"MAIL FROM:a@example.com", 501),
        (b"MAIL FROM:<a@example.com> SIZE=%d" % (LARGEST_MAIL + 1), 552),
        (b"MAIL FROM:<a@example.com> RET=FULL", 555),
        ("MAIL FROM:<jörg@example.com>".encode(), 553),
        (b"RCPT TO:<b@example.com>", 503),
        (b"DATA", 503),
        (b"mail from:<>", 250),
        (b"EXPN staff", 500),
    ],
)
async def test_a_command_that_is_out_of_place_is_refused(server: Running, command: bytes, code: int) -> None:
    client = await greeted(server)
    await client.say(command + b"\r\nNOOP\r\n")
    assert await client.codes(2) == [code, 250]
    await client.close()


async def test_a_mail_too_large_is_refused_and_the_connection_goes_on(server: Running) -> None:
    client = await greeted(server)
    await client.say(ENVELOPE)
    await client.say((b"x" * 998 + b"\r\n") * (LARGEST_MAIL // 1000 + 1) + b".\r\n" + ENVELOPE + MAIL)
    assert await client.codes(8) == [250, 250, 354, 552, 250, 250, 354, 250]
    assert server.effects() == ["aaaaaaaa"]
    await client.close()


async def test_a_line_without_an_end_is_not_kept(server: Running) -> None:
    client = await greeted(server)
    await client.say(b"x" * 4096)
    assert (await client.rest()).startswith(b"500 ")
    await client.close()


async def test_an_order_that_means_nothing_changes_nothing(server: Running) -> None:
    await server.rules(Rule(do=Do.REFUSE))
    reader, writer = await asyncio.open_unix_connection(server.place.control)
    writer.write(b'{"rules":[{"do":"vanish"}]}\n{"counts":true}\n')
    assert b"vanish" in await asyncio.wait_for(reader.readline(), WITHIN_S)
    assert await asyncio.wait_for(reader.readline(), WITHIN_S) == b'{"calls":0,"effects":0,"hanging":0}\n'
    writer.close()
    with pytest.raises(ControlFailure, match="keys"):
        await server.order(Command(keys=-1))
    async with provider_for(server.port) as provider:
        assert isinstance(await provider.send(an_email_call()), Rejected)


async def test_as_a_process_it_ends_in_order_and_goes_on_with_its_journal(tmp_path: Path) -> None:
    place = a_place(tmp_path, port=free_port())
    for sent in (1, 2):
        async with started("mail_server", place) as process, provider_for(place.port) as provider:
            assert isinstance(await provider.send(an_email_call(text="proof-mark:dddddddd")), Accepted)
            running = Running(port=place.port, place=place)
            assert (await running.order(Command(counts=True))).effects == 1
            await running.rules(Rule(do=Do.RESET))
            client = await greeted(running)
            await client.say(ENVELOPE)
            assert await client.codes(3) == [250, 250, 354]
            await client.say(MAIL)
            with pytest.raises(ConnectionResetError):
                await client.rest()
            await client.close()
            process.terminate()
            assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0
        assert running.effects() == ["dddddddd"] * sent
        assert not place.control.exists()
