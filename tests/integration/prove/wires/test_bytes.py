"""What becomes of bytes between a client and a server."""

import socket
import time

import pytest

from carillon.prove.wires.client import Wires
from carillon.prove.wires.orders import Direction
from tests.integration.prove.wires.conftest import (
    MORE_THAN_ALL_BUFFERS,
    NAME,
    SILENCE_S,
    TO_CLIENT,
    TO_SERVER,
    WITHIN_S,
    Ground,
    Line,
    assert_passes,
    assert_reset,
    assert_silent,
    carried,
    received,
    reset,
    sent_until_blocked,
    until,
)


def test_bytes_pass_both_ways_and_are_counted(wires: Wires, ground: Ground) -> None:
    before = wires.look()[NAME]
    line = ground.line()

    assert_passes(line, TO_SERVER, TO_CLIENT, TO_CLIENT)

    after = wires.look()[NAME]
    assert after.bytes_to_server - before.bytes_to_server == 4
    assert after.bytes_to_client - before.bytes_to_client == 8


@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
def test_a_half_close_leaves_the_other_direction_open(ground: Ground, direction: Direction) -> None:
    line = ground.line()
    sender, receiver = line.ends(direction)

    sender.sendall(b"last")
    sender.shutdown(socket.SHUT_WR)
    assert received(receiver, 5) == b"last"
    receiver.sendall(b"answer")
    receiver.close()

    assert received(sender, 7) == b"answer"
    until(lambda: ground.connections == 0)


@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
def test_a_reset_reaches_the_other_side(ground: Ground, direction: Direction) -> None:
    sender, receiver = ground.line().ends(direction)
    reset(sender)
    assert_reset(receiver)
    until(lambda: ground.connections == 0)


@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
def test_who_reads_slowly_is_waited_for_and_gets_every_byte(ground: Ground, direction: Direction) -> None:
    sender, receiver = ground.line().ends(direction)

    count = sent_until_blocked(sender)

    assert count < MORE_THAN_ALL_BUFFERS
    sender.shutdown(socket.SHUT_WR)
    assert len(received(receiver, count + 1)) == count


@pytest.mark.parametrize(("direction", "other"), [(TO_SERVER, TO_CLIENT), (TO_CLIENT, TO_SERVER)])
def test_a_black_hole_in_one_direction_holds_until_it_is_lifted(
    wires: Wires, ground: Ground, direction: Direction, other: Direction
) -> None:
    line = ground.line()
    sender, receiver = line.ends(direction)

    wires.black_hole(NAME, direction)
    sender.sendall(b"held")
    sender.shutdown(socket.SHUT_WR)
    assert_silent(receiver)
    assert_passes(line, other)

    wires.let_pass(NAME, direction)
    assert received(receiver, 5) == b"held"


def test_senders_into_a_black_hole_feel_that_nobody_reads(wires: Wires, ground: Ground) -> None:
    line = ground.line()
    wires.black_hole(NAME)

    to_server, to_client = sent_until_blocked(line.client), sent_until_blocked(line.server)

    assert to_server + to_client < MORE_THAN_ALL_BUFFERS
    wires.let_pass(NAME)
    assert len(received(line.server, to_server)) == to_server
    assert len(received(line.client, to_client)) == to_client


def test_a_new_connection_into_a_black_hole_stands_and_comes_through_later(
    wires: Wires, ground: Ground
) -> None:
    wires.black_hole(NAME)
    client = ground.connect()
    client.sendall(b"early")
    assert_silent(client)
    ground.listener.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        ground.listener.accept()
    ground.listener.settimeout(WITHIN_S)

    wires.let_pass(NAME)

    server = ground.accept()
    assert received(server, 5) == b"early"
    assert_passes(Line(client=client, server=server), TO_CLIENT)


def test_a_client_that_gave_up_in_a_black_hole_is_heard_and_leaves_nothing(
    wires: Wires, ground: Ground
) -> None:
    line = ground.line()
    wires.black_hole(NAME)
    line.client.sendall(b"request")
    line.client.close()

    wires.let_pass(NAME)

    assert received(line.server, 8) == b"request"
    line.server.close()
    until(lambda: ground.connections == 0)


@pytest.mark.parametrize(("direction", "other"), [(TO_SERVER, TO_CLIENT), (TO_CLIENT, TO_SERVER)])
def test_what_is_swallowed_is_lost_for_good(
    wires: Wires, ground: Ground, direction: Direction, other: Direction
) -> None:
    line = ground.line()
    sender, receiver = line.ends(direction)

    before = carried(wires)
    wires.black_hole(NAME, direction, swallow=True)
    sender.sendall(bytes(MORE_THAN_ALL_BUFFERS))
    until(lambda: carried(wires) - before == MORE_THAN_ALL_BUFFERS)
    assert_silent(receiver)
    assert_passes(line, other)

    wires.let_pass(NAME, direction)
    assert_passes(line, direction)


@pytest.mark.parametrize(("direction", "other"), [(TO_SERVER, TO_CLIENT), (TO_CLIENT, TO_SERVER)])
def test_a_delay_in_one_direction_keeps_the_order(
    wires: Wires, ground: Ground, direction: Direction, other: Direction
) -> None:
    line = ground.line()
    sender, receiver = line.ends(direction)
    wires.delay(NAME, 0.15, direction=direction, jitter_s=0.1, seed=7)

    started = time.monotonic()
    words = [b"%03d" % number for number in range(100)]
    for word in words:
        sender.sendall(word)
    sender.shutdown(socket.SHUT_WR)

    assert received(receiver, 301) == b"".join(words)
    assert time.monotonic() - started >= 0.15
    wires.delay(NAME, 3600, direction=direction)
    assert_passes(line, other)


@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT])
def test_what_a_delay_holds_is_bounded_and_comes_once_it_is_lifted(
    wires: Wires, ground: Ground, direction: Direction
) -> None:
    sender, receiver = ground.line().ends(direction)
    wires.delay(NAME, 3600, direction=direction)

    before = carried(wires)
    count = sent_until_blocked(sender)

    assert count < MORE_THAN_ALL_BUFFERS
    assert carried(wires) - before < 2 << 20
    assert_silent(receiver)
    wires.let_pass(NAME)
    assert len(received(receiver, count)) == count


def test_a_delay_that_was_lifted_is_not_felt_by_the_next(wires: Wires, ground: Ground) -> None:
    line = ground.line()
    wires.delay(NAME, 3600)
    line.client.sendall(b"first")
    wires.let_pass(NAME)
    assert received(line.server, 5) == b"first"

    wires.delay(NAME, 0.01)

    assert_passes(line, TO_SERVER, TO_CLIENT)


def test_a_request_arrives_though_its_client_broke_off_meanwhile(wires: Wires, ground: Ground) -> None:
    line = ground.line()
    wires.delay(NAME, 0.2, direction=TO_SERVER)

    line.client.sendall(b"request")
    reset(line.client)

    assert received(line.server, 7) == b"request"
    assert_reset(line.server)
