"""What becomes of connections, those that stand and new ones."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from carillon.prove.wires.client import Wires, WiresError
from carillon.prove.wires.orders import Direction, Door
from tests.integration.prove.wires.conftest import (
    BOTH,
    NAME,
    TO_CLIENT,
    TO_SERVER,
    WITHIN_S,
    Ground,
    Line,
    assert_hopeless,
    assert_passes,
    assert_reset,
    assert_silent,
    port_of,
    received,
    reset,
    until,
)


def test_a_cut_resets_what_stands_and_lets_new_connections_pass(wires: Wires, ground: Ground) -> None:
    line = ground.line()
    assert_passes(line, TO_SERVER, TO_CLIENT)

    wires.cut(NAME)

    assert_reset(line.client)
    assert_reset(line.server)
    assert_passes(ground.line(), TO_SERVER, TO_CLIENT)


def test_reset_goes_on_until_it_is_lifted(wires: Wires, ground: Ground) -> None:
    line = ground.line()

    wires.reset(NAME)

    assert_reset(line.client)
    assert_reset(line.server)
    for _ in range(2):
        assert_hopeless(ground)
    assert wires.look()[NAME].door is Door.RESET
    wires.let_pass(NAME)
    assert_passes(ground.line(), TO_SERVER, TO_CLIENT)


def test_who_is_refused_was_certainly_not_heard_and_what_stands_goes_on(wires: Wires, ground: Ground) -> None:
    line = ground.line()

    wires.refuse(NAME)

    with pytest.raises(ConnectionRefusedError):
        ground.connect()
    assert_passes(line, TO_SERVER, TO_CLIENT)
    wires.let_pass(NAME)
    assert_passes(ground.line(), TO_SERVER, TO_CLIENT)


def test_half_open_the_server_is_gone_and_the_client_learns_nothing(wires: Wires, ground: Ground) -> None:
    line = ground.line()
    assert_passes(line, TO_SERVER, TO_CLIENT)

    wires.half_open(NAME)

    assert line.server.recv(1) == b""
    line.client.sendall(b"anybody?")
    assert_silent(line.client)
    line.client.sendall(b"nobody?")
    new = ground.line()
    assert_passes(new, TO_SERVER, TO_CLIENT)
    wires.let_pass(NAME)
    assert_silent(line.client)
    assert ground.connections == 2
    line.client.close()
    until(lambda: ground.connections == 1)


def test_a_client_that_had_said_its_last_is_not_kept_half_open(wires: Wires, ground: Ground) -> None:
    line = ground.line()
    line.client.sendall(b"last")
    line.client.shutdown(socket.SHUT_WR)
    assert received(line.server, 5) == b"last"

    wires.half_open(NAME)

    until(lambda: ground.connections == 0)


def test_nobody_else_gets_the_port_while_connections_are_refused(wires: Wires) -> None:
    wires.refuse("other")
    port = wires.look()["other"].port
    with socket.socket() as taker, pytest.raises(OSError, match="in use"):
        taker.bind(("127.0.0.1", port))


@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
@pytest.mark.parametrize("after_bytes", [0, 1, 10])
def test_a_tear_lets_so_many_bytes_through_and_happens_once(
    wires: Wires, ground: Ground, direction: Direction, after_bytes: int
) -> None:
    other, line = ground.line(), ground.line()
    sender, receiver = line.ends(direction)

    wires.tear(NAME, direction, after_bytes=after_bytes)
    sender.sendall(b"0123456789ab")

    assert received(receiver, after_bytes) == b"0123456789"[:after_bytes]
    assert_reset(receiver)
    assert_reset(sender)
    assert_passes(other, TO_SERVER, TO_CLIENT)
    assert_passes(ground.line(), TO_SERVER, TO_CLIENT)


@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
def test_a_stream_is_torn_at_the_byte(wires: Wires, ground: Ground, direction: Direction) -> None:
    sender, receiver = ground.line().ends(direction)
    wires.tear(NAME, direction, after_bytes=1_234_567)

    def send() -> None:
        with contextlib.suppress(ConnectionError):
            sender.sendall(bytes(10_000_000))
            sender.close()

    sending = threading.Thread(target=send)
    sending.start()
    count = 0
    with pytest.raises(ConnectionResetError):
        while more := receiver.recv(1 << 16):
            count += len(more)
    sending.join(WITHIN_S)

    assert count == 1_234_567


def test_a_tear_that_waits_is_called_off(wires: Wires, ground: Ground) -> None:
    line = ground.line()
    wires.tear(NAME, TO_SERVER, after_bytes=2)
    wires.let_pass(NAME)
    assert_passes(line, TO_SERVER, TO_CLIENT)


def test_servers_take_turns_and_who_refuses_is_passed_over(wires: Wires, ground: Ground) -> None:
    first, second = ground.listener, ground.listen()
    wires.set_targets(NAME, [port_of(first), port_of(second)])

    for _ in range(4):
        ground.connect()
    for listener in (first, first, second, second):
        ground.accept(listener)
    first.close()
    for _ in range(3):
        client = ground.connect()
        assert_passes(Line(client=client, server=ground.accept(second)), TO_SERVER, TO_CLIENT)
    second.close()
    assert_hopeless(ground)

    third = ground.listen()
    wires.set_targets(NAME, [port_of(third)])
    client = ground.connect()
    assert_passes(Line(client=client, server=ground.accept(third)), TO_SERVER, TO_CLIENT)
    assert wires.look()[NAME].to == [port_of(third)]


def test_nothing_is_left_of_connections_that_ended(
    wires: Wires, ground: Ground, process: tuple[Path, int]
) -> None:
    running = psutil.Process(process[1])
    before = running.num_fds()

    for number, direction in itertools.product(range(10), (TO_SERVER, TO_CLIENT)):
        line = ground.line()
        assert_passes(line, TO_SERVER, TO_CLIENT)
        first, then = line.ends(direction)
        (reset if number % 2 else socket.socket.close)(first)
        then.close()
    wires.refuse(NAME)
    wires.let_pass(NAME)

    until(lambda: ground.connections == 0)
    until(lambda: running.num_fds() <= before)


def test_an_order_that_makes_no_sense_changes_nothing(wires: Wires, ground: Ground) -> None:
    before = wires.look()
    senseless: list[Callable[[], None]] = [
        lambda: wires.cut("unheard-of"),
        lambda: wires.tear(NAME, BOTH, after_bytes=1),
        lambda: wires.tear(NAME, TO_CLIENT, after_bytes=-1),
        lambda: wires.delay(NAME, -1.0),
    ]
    for order in senseless:
        with pytest.raises(WiresError):
            order()
    assert wires.look() == before


def test_one_wire_leaves_the_others_alone(wires: Wires, ground: Ground) -> None:
    line = ground.line()
    for disturb in (wires.black_hole, wires.reset, wires.refuse, wires.half_open, wires.cut):
        disturb("other")
    assert_passes(line, TO_SERVER, TO_CLIENT)
    assert_passes(ground.line(), TO_SERVER, TO_CLIENT)
