"""What is spoken at the control socket: one order as a line of JSON, one answer as a line of JSON."""

from enum import StrEnum

import msgspec


class Direction(StrEnum):
    """Which bytes are meant: the client's, the server's, or all."""

    TO_SERVER = "to_server"
    TO_CLIENT = "to_client"
    BOTH = "both"


class Passage(StrEnum):
    """What becomes of the bytes of one direction."""

    PASS = "pass"
    DELAY = "delay"
    BLACK_HOLE = "black_hole"
    """They stay where they are, so that the sender's buffers fill up."""
    SWALLOW = "swallow"
    """They are read, and thrown away."""


class Door(StrEnum):
    """What becomes of new connections."""

    OPEN = "open"
    RESET = "reset"
    CLOSED = "closed"


class WirePlan(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides are on 127.0.0.1. `listen` 0 takes a free port; `to` are the ports of the servers."""

    name: str
    listen: int
    to: list[int]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`control` is the path of the Unix socket, 107 bytes long at most."""

    control: str
    wires: list[WirePlan]


class LetPass(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="pass"):
    """As if nothing had been. With `both` the door opens as well, and a tear that waits is called off."""

    wire: str
    direction: Direction = Direction.BOTH


class BlackHole(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="black_hole"):
    """Connections that stand and new ones stay open, and nothing comes through."""

    wire: str
    direction: Direction = Direction.BOTH
    swallow: bool = False


class Delay(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="delay"):
    """Every byte comes `seconds` late, and up to `jitter_s` more, in its order."""

    wire: str
    seconds: float
    direction: Direction = Direction.BOTH
    jitter_s: float = 0.0
    seed: int = 0


class Reset(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="reset"):
    """Reset what stands, and each new connection."""

    wire: str


class Cut(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="cut"):
    """Reset what stands. New connections get what they got before."""

    wire: str


class Refuse(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="refuse"):
    """Listen no more. What stands is left alone."""

    wire: str


class HalfOpen(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="half_open"):
    """Close the server's side of what stands, and tell the client nothing. New connections pass."""

    wire: str


class Tear(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="torn"):
    """After `after_bytes` more bytes in this direction, all connections of the wire counted together, reset
    the connection that carried the last of them, once. Not for `both`."""

    wire: str
    direction: Direction
    after_bytes: int


class SetTargets(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="set_targets"):
    """Where new connections go. What stands is left alone."""

    wire: str
    to: list[int]


class Look(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag="look"):
    """How all the wires are."""


WireOrder = LetPass | BlackHole | Delay | Reset | Cut | Refuse | HalfOpen | Tear | SetTargets
Order = WireOrder | Look


class WireState(msgspec.Struct, frozen=True, kw_only=True):
    """`connections` have an open side at least; the bytes are those read since the start."""

    name: str
    port: int
    to: list[int]
    connections: int
    door: Door
    to_server: Passage
    to_client: Passage
    bytes_to_server: int
    bytes_to_client: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The wires an order was about, after it was done; `error` is empty where it was."""

    error: str = ""
    wires: list[WireState] = []
