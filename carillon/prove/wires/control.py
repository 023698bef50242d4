"""The Unix socket that takes orders."""

import asyncio
from collections.abc import Mapping

import msgspec

from carillon.prove.wires.orders import Answer, Look, Order
from carillon.prove.wires.wire import Wire

_LONGEST_LINE = 1 << 16


class Control:
    """Obeys one order after another, whoever gives it, and answers when it is done."""

    def __init__(self, wires: Mapping[str, Wire]) -> None:
        self._wires = wires
        self._orders = msgspec.json.Decoder(Order)
        self._answers = msgspec.json.Encoder()
        self._turn = asyncio.Lock()
        self._writers: set[asyncio.StreamWriter] = set()

    async def listen(self, path: str) -> asyncio.Server:
        """Raises OSError."""
        return await asyncio.start_unix_server(self._serve, path, limit=_LONGEST_LINE)

    def close(self) -> None:
        """Let go of those who give orders."""
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(self._answers.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError):  # gone, or a line without end
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            order = self._orders.decode(line)
            if isinstance(order, Look):
                return Answer(wires=[wire.state for wire in self._wires.values()])
            wire = self._wires.get(order.wire)
            if wire is None:
                return Answer(error=f"there is no wire {order.wire}")
            async with self._turn:
                await wire.obey(order)
                # Sockets are closed a turn of the loop after they were given up.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        except (ValueError, OSError) as error:  # msgspec's errors are ValueErrors
            return Answer(error=str(error))
        return Answer(wires=[wire.state])
