"""One port, the servers behind it, and what may go wrong between."""

import asyncio
import socket
import sys
from typing import assert_never

from carillon.prove.wires import orders
from carillon.prove.wires.course import Course
from carillon.prove.wires.orders import Direction, Door, Passage, WirePlan, WireState
from carillon.prove.wires.pair import Pair

MOST_CONNECTIONS = 4000
"""Of one wire at once; more are reset."""
_BACKLOG = 512
_CONNECTS_WITHIN_S = 5.0


class Wire:
    """Connections go to the servers in turn. Where one refuses, the next is tried; where all do, the client
    is reset (as HAProxy does in TCP mode, `option redispatch`)."""

    def __init__(self, plan: WirePlan) -> None:
        self._name = plan.name
        self._to = list(plan.to)
        self._turn = 0
        self._port = plan.listen
        self._door = Door.OPEN
        self._to_server = Course()
        self._to_client = Course()
        self._pairs: set[Pair] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._reservation: socket.socket | None = None

    async def open(self) -> None:
        """Listen. Raises OSError."""
        if sys.platform == "linux":
            # While nobody listens, the system would give the port to any connection that goes out. Elsewhere
            # two sockets cannot have one port.
            self._reservation = _bound(self._port)
            self._port = self._reservation.getsockname()[1]
        await self._listen()

    async def close(self) -> None:
        """Reset everything, and let go of the port."""
        self._stop_listening()
        self._cut()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        if self._reservation is not None:
            self._reservation.close()

    @property
    def state(self) -> WireState:
        """How it is now."""
        return WireState(
            name=self._name,
            port=self._port,
            to=list(self._to),
            connections=len(self._pairs),
            door=self._door,
            to_server=self._to_server.passage,
            to_client=self._to_client.passage,
            bytes_to_server=self._to_server.carried,
            bytes_to_client=self._to_client.carried,
        )

    async def obey(self, order: orders.WireOrder) -> None:
        """Raises ValueError for an order that makes no sense, OSError where the port is lost."""
        match order:
            case orders.LetPass(direction=direction):
                await self._let_pass(direction)
            case orders.BlackHole() | orders.Delay() | orders.Tear():
                self._steer(order)
            case orders.Reset():
                await self._listen()
                self._door = Door.RESET
                self._cut()
            case orders.Cut():
                self._cut()
            case orders.Refuse():
                self._stop_listening()
                self._door = Door.CLOSED
            case orders.HalfOpen():
                for pair in list(self._pairs):
                    pair.half_open()
            case orders.SetTargets(to=to):
                self._to = list(to)
            case _:
                assert_never(order)
        for pair in list(self._pairs):
            pair.run()

    def _steer(self, order: orders.BlackHole | orders.Delay | orders.Tear) -> None:
        courses = self._courses(order.direction)
        match order:
            case orders.BlackHole(swallow=swallow):
                for course in courses:
                    course.take(Passage.SWALLOW if swallow else Passage.BLACK_HOLE)
            case orders.Delay(seconds=seconds, jitter_s=jitter_s):
                if seconds < 0 or jitter_s < 0:
                    raise ValueError("nothing comes before its time")
                for course in courses:
                    course.delay(seconds, jitter_s=jitter_s, seed=order.seed)
            case orders.Tear(after_bytes=count):
                if len(courses) > 1 or count < 0:
                    raise ValueError("a tear comes in one direction, after 0 bytes or more")
                courses[0].tear_after(count)

    async def _let_pass(self, direction: Direction) -> None:
        for course in self._courses(direction):
            course.tear_after(None)
            course.take(Passage.PASS)
        if direction is Direction.BOTH:
            await self._listen()
            self._door = Door.OPEN

    def _courses(self, direction: Direction) -> list[Course]:
        match direction:
            case Direction.TO_SERVER:
                return [self._to_server]
            case Direction.TO_CLIENT:
                return [self._to_client]
            case Direction.BOTH:
                return [self._to_server, self._to_client]

    async def _listen(self) -> None:
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: self._pair().client, sock=_bound(self._port), backlog=_BACKLOG
            )
            self._port = self._server.sockets[0].getsockname()[1]

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _cut(self) -> None:
        for pair in list(self._pairs):
            pair.reset()

    def _pair(self) -> Pair:
        return Pair(
            to_server=self._to_server,
            to_client=self._to_client,
            accepted=self._accept,
            gone=self._pairs.discard,
        )

    def _accept(self, pair: Pair) -> None:
        if self._door is Door.RESET or len(self._pairs) >= MOST_CONNECTIONS:
            pair.reset()
            return
        self._pairs.add(pair)
        task = asyncio.get_running_loop().create_task(self._connect(pair))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, pair: Pair) -> None:
        await self._to_server.connects.wait()
        loop = asyncio.get_running_loop()
        self._turn += 1
        first = self._turn % max(1, len(self._to))
        for port in self._to[first:] + self._to[:first]:
            if not pair.waits_for_server:
                return
            try:
                async with asyncio.timeout(_CONNECTS_WITHIN_S):
                    await loop.create_connection(lambda: pair.server, "127.0.0.1", port)
            except OSError:  # TimeoutError is one
                continue
        if pair.waits_for_server:
            pair.reset()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        raise
    return bound
