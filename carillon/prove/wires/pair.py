"""One connection: the client's side, the server's side, and a flow each way."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import cast

from carillon.prove.wires.course import Course
from carillon.prove.wires.flow import Flow, Mark

_LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: to close is to reset (socket(7))."""


class End(asyncio.Protocol):
    """One side. `outgoing` carries what its peer sends, `incoming` what its peer is sent."""

    def __init__(self, pair: "Pair", *, outgoing: Flow, incoming: Flow) -> None:
        self.transport: asyncio.Transport | None = None
        self.outgoing = outgoing
        self.incoming = incoming
        self._pair = pair

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the flows."""
        # uvloop's transports derive from none of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self._pair.made(self)

    def data_received(self, data: bytes) -> None:
        """Into the flow."""
        self.outgoing.feed(data)

    def eof_received(self) -> bool:
        """A half-close: the other direction goes on."""
        self._pair.finished(self)
        return True

    def pause_writing(self) -> None:
        """The peer does not take as fast as it is given."""
        self.incoming.hold_back(True)

    def resume_writing(self) -> None:
        """It has caught up."""
        self.incoming.hold_back(False)

    def connection_lost(self, _error: Exception | None) -> None:
        """Reset by the peer, or closed by us."""
        self.transport = None
        self._pair.lost(self)

    def reset(self) -> None:
        """Tell the peer that there is no connection."""
        if self.transport is not None:
            peer = self.transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            self.transport.abort()


class Pair:
    """`accepted` is called once the client is there, `gone` once neither side is."""

    def __init__(
        self,
        *,
        to_server: Course,
        to_client: Course,
        accepted: Callable[["Pair"], None],
        gone: Callable[["Pair"], None],
    ) -> None:
        there = Flow(to_server, ended=self._close_when_over, reset=self.reset)
        back = Flow(to_client, ended=self._close_when_over, reset=self.reset)
        self.client = End(self, outgoing=there, incoming=back)
        self.server = End(self, outgoing=back, incoming=there)
        self._accepted = accepted
        self._gone = gone
        self._is_closing = False
        self._is_half_open = False

    @property
    def waits_for_server(self) -> bool:
        """Whether there is none yet, nor one too late."""
        return self.server.transport is None and not self._is_closing

    def made(self, end: End) -> None:
        """A side is there."""
        if self._is_closing:
            end.reset()
            return
        end.outgoing.connect(source=end.transport)
        end.incoming.connect(sink=end.transport)
        if end is self.client:
            self._accepted(self)

    def run(self) -> None:
        """The course of a direction has changed."""
        self.client.outgoing.run()
        self.server.outgoing.run()

    def finished(self, end: End) -> None:
        """A side sends no more."""
        if self._is_half_open:
            self._close()
        else:
            end.outgoing.close(Mark.END)

    def lost(self, end: End) -> None:
        """A side is there no more. The other learns it when all that came before has come through."""
        if self.client.transport is None and self.server.transport is None:
            self._is_closing = True
            end.outgoing.stop()
            end.incoming.stop()
            self._gone(self)
        elif not (self._is_closing or self._is_half_open):
            end.outgoing.source = None
            end.incoming.drop()
            end.outgoing.close(Mark.RESET)

    def reset(self) -> None:
        """Reset both sides."""
        self._is_closing = True
        for end in (self.client, self.server):
            end.outgoing.stop()
            end.reset()

    def half_open(self) -> None:
        """Close the server's side. The client's stays, nothing comes of it, and its end is ours as well."""
        if self.server.transport is None or self._is_closing:
            return
        if self.client.outgoing.has_ended:  # then nothing would ever tell that the client is gone
            self._close()
            return
        self._is_half_open = True
        self.client.outgoing.drop()
        self.server.outgoing.drop()
        self.server.transport.close()

    def _close_when_over(self) -> None:
        if self.client.outgoing.is_over and self.server.outgoing.is_over:
            self._close()

    def _close(self) -> None:
        self._is_closing = True
        for end in (self.client, self.server):
            if end.transport is not None:
                end.transport.close()
