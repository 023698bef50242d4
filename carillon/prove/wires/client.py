"""Gives orders to the wires."""

import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from carillon.prove.wires import orders
from carillon.prove.wires.orders import Answer, Direction, Order, WireState

_TRY_EVERY_S = 0.02


class WiresError(Exception):
    """The wires do not answer, or did not obey."""


class Wires:
    """A connection to the control socket at `path`, which may come up within `timeout_s` seconds; so long
    each order may take, too. Every method returns when it is done, and raises WiresError. Threads may share
    it.

    What an order sets stands until `let_pass`; `cut`, `half_open` and `tear` happen once.
    """

    def __init__(self, path: Path, *, timeout_s: float = 10.0) -> None:
        self._socket = _connected(path, timeout_s)
        self._lines = self._socket.makefile("rb")
        self._answers = msgspec.json.Decoder(Answer)
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """The wires stay as they are."""
        self._lines.close()
        self._socket.close()

    def look(self) -> dict[str, WireState]:
        """All wires by name."""
        return {state.name: state for state in self._give(orders.Look()).wires}

    def let_pass(self, wire: str, direction: Direction = Direction.BOTH) -> None:
        """As if nothing had been; what a black hole or a delay holds comes through at once."""
        self._give(orders.LetPass(wire=wire, direction=direction))

    def let_all_pass(self) -> None:
        """All wires, in both directions."""
        for wire in self.look():
            self.let_pass(wire)

    def black_hole(self, wire: str, direction: Direction = Direction.BOTH, *, swallow: bool = False) -> None:
        """Nothing comes through, and nothing breaks. With `swallow` what comes meanwhile is lost for good;
        else senders feel that nobody reads, and a new connection reaches the server when bytes to it pass
        again."""
        self._give(orders.BlackHole(wire=wire, direction=direction, swallow=swallow))

    def delay(
        self,
        wire: str,
        seconds: float,
        *,
        direction: Direction = Direction.BOTH,
        jitter_s: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Each way for itself: with `both` an answer comes twice so late."""
        self._give(
            orders.Delay(wire=wire, direction=direction, seconds=seconds, jitter_s=jitter_s, seed=seed)
        )

    def reset(self, wire: str) -> None:
        """Reset (RST) what stands, and each new connection."""
        self._give(orders.Reset(wire=wire))

    def cut(self, wire: str) -> None:
        """Reset (RST) what stands."""
        self._give(orders.Cut(wire=wire))

    def refuse(self, wire: str) -> None:
        """New connections are refused; what stands is left alone. The port stays ours."""
        self._give(orders.Refuse(wire=wire))

    def half_open(self, wire: str) -> None:
        """The server loses what stands, and the client learns nothing. New connections pass."""
        self._give(orders.HalfOpen(wire=wire))

    def tear(self, wire: str, direction: Direction, *, after_bytes: int) -> None:
        """After so many more bytes, all connections of the wire counted together, reset the one that carried
        the last of them, once. Its peer gets all before, if it reads."""
        self._give(orders.Tear(wire=wire, direction=direction, after_bytes=after_bytes))

    def set_targets(self, wire: str, to: Sequence[int]) -> None:
        """The servers that new connections go to, by port; with none they are reset."""
        self._give(orders.SetTargets(wire=wire, to=list(to)))

    def _give(self, order: Order) -> Answer:
        with self._turn:
            try:
                self._socket.sendall(msgspec.json.encode(order) + b"\n")
                line = self._lines.readline()
            except (OSError, ValueError) as error:
                raise WiresError(f"The wires do not answer: {error}.") from error
        if not line:
            raise WiresError("The wires are gone.")
        answer = self._answers.decode(line)
        if answer.error:
            raise WiresError(f"The wires do not obey: {answer.error}.")
        return answer


def _connected(path: Path, timeout_s: float) -> socket.socket:
    deadline = time.monotonic() + timeout_s
    while True:
        control = socket.socket(socket.AF_UNIX)
        control.settimeout(timeout_s)
        with contextlib.suppress(OSError):
            control.connect(str(path))
            return control
        control.close()
        if time.monotonic() > deadline:
            raise WiresError(f"Nobody listens at {path}.")
        time.sleep(_TRY_EVERY_S)
