"""Wires in a process, and real sockets on both sides of them."""

import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from carillon.home import CHECKOUT
from carillon.prove.wires.client import Wires
from carillon.prove.wires.orders import Direction

TO_SERVER, TO_CLIENT, BOTH = Direction
WITHIN_S = 20.0
SILENCE_S = 0.1
NAME = "database"
MORE_THAN_ALL_BUFFERS = 64 << 20


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The path of the control socket, and the process."""
    folder = tmp_path_factory.mktemp("wires")
    plan, control = folder / "plan.json", folder / "control"
    wires = [{"name": NAME, "listen": 0, "to": []}, {"name": "other", "listen": 0, "to": []}]
    plan.write_text(json.dumps({"control": str(control), "wires": wires}))
    with subprocess.Popen(
        [sys.executable, "-m", "carillon.prove.wires", str(plan)], cwd=CHECKOUT, stderr=subprocess.PIPE
    ) as running:
        try:
            yield control, running.pid
        finally:
            running.send_signal(signal.SIGTERM)
            _, errors = running.communicate(timeout=WITHIN_S)
    assert (running.returncode, errors) == (0, b"")
    assert not control.exists()


@pytest.fixture
def wires(process: tuple[Path, int]) -> Iterator[Wires]:
    """Told to let pass, and without connections."""
    with Wires(process[0]) as wires:
        yield wires
        wires.let_all_pass()
        wires.cut(NAME)


@dataclass(frozen=True)
class Line:
    """One connection: the sockets at its ends."""

    client: socket.socket
    server: socket.socket

    def ends(self, direction: Direction) -> tuple[socket.socket, socket.socket]:
        """Who sends and who receives."""
        return (self.client, self.server) if direction is TO_SERVER else (self.server, self.client)


class Ground:
    """Sockets of a test, each with a time-out, and what they are connected by."""

    def __init__(self, wires: Wires, stack: ExitStack) -> None:
        self._wires = wires
        self._stack = stack
        self.port = wires.look()[NAME].port
        self.listener = self.listen()
        wires.set_targets(NAME, [port_of(self.listener)])

    def listen(self) -> socket.socket:
        """A server."""
        return self._kept(socket.create_server(("127.0.0.1", 0)))

    def connect(self) -> socket.socket:
        """A client."""
        return self._kept(socket.create_connection(("127.0.0.1", self.port), WITHIN_S))

    def accept(self, listener: socket.socket | None = None) -> socket.socket:
        """What has come to a server."""
        return self._kept((listener or self.listener).accept()[0])

    def line(self) -> Line:
        """A connection that stands."""
        return Line(client=self.connect(), server=self.accept())

    @property
    def connections(self) -> int:
        """How many the wire has."""
        return self._wires.look()[NAME].connections

    def _kept(self, made: socket.socket) -> socket.socket:
        made.settimeout(WITHIN_S)
        return self._stack.enter_context(made)


@pytest.fixture
def ground(wires: Wires) -> Iterator[Ground]:
    """With one server behind the wire."""
    with ExitStack() as stack:
        yield Ground(wires, stack)


def port_of(listener: socket.socket) -> int:
    """Where it listens."""
    port: int = listener.getsockname()[1]
    return port


def received(receiver: socket.socket, count: int) -> bytes:
    """So many bytes."""
    data = bytearray()
    while len(data) < count and (more := receiver.recv(count - len(data))):
        data += more
    return bytes(data)


def assert_passes(line: Line, *directions: Direction) -> None:
    """A word gets through each way."""
    for direction in directions:
        sender, receiver = line.ends(direction)
        sender.sendall(b"word")
        assert received(receiver, 4) == b"word"


def assert_silent(end: socket.socket) -> None:
    """Nothing comes, no end and no reset either."""
    end.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        end.recv(1)
    end.settimeout(WITHIN_S)


def assert_reset(end: socket.socket) -> None:
    """The connection is there no more."""
    with pytest.raises(ConnectionResetError):
        end.recv(1)


def assert_hopeless(ground: Ground) -> None:
    """A new connection is reset, at once or when it is used."""
    with pytest.raises(ConnectionResetError):
        ground.connect().recv(1)


def reset(end: socket.socket) -> None:
    """As a peer that is killed with bytes unread."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def sent_until_blocked(sender: socket.socket) -> int:
    """How many bytes go before a sender has to wait; the last piece may be sent in part."""
    sender.settimeout(0.3)
    count = 0
    try:
        while count < MORE_THAN_ALL_BUFFERS:
            count += sender.send(bytes(1 << 16))
    except TimeoutError:
        pass
    sender.settimeout(WITHIN_S)
    return count


def until(holds: Callable[[], bool]) -> None:
    """Wait for what comes in its time."""
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def carried(wires: Wires) -> int:
    """Bytes in both directions."""
    state = wires.look()[NAME]
    return state.bytes_to_server + state.bytes_to_client
