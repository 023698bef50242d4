"""The bundled mail sink as a process: `python -m carillon.bench.sink PORT JOURNAL`."""

import asyncio
import sys
from pathlib import Path
from typing import BinaryIO

import uvloop

from carillon.bench.sink_protocol import SmtpSinkProtocol

_WRITE_EVERY_S = 0.05


async def serve(port: int, journal: Path) -> None:
    """Take mail on the loopback interface until cancelled. A line for each mail goes into `journal`, a
    twentieth of a second late at most: `<time.monotonic_ns()> <Message-ID>`."""
    lines: list[bytes] = []

    def taken(at_ns: int, message_id: bytes) -> None:
        lines.append(b"%d %s\n" % (at_ns, message_id))

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SmtpSinkProtocol(taken), "127.0.0.1", port, backlog=512)
    with journal.open("ab", buffering=0) as file:
        try:
            while True:
                await asyncio.sleep(_WRITE_EVERY_S)
                _write(file, lines)
        finally:
            server.close()
            _write(file, lines)


def _write(file: BinaryIO, lines: list[bytes]) -> None:
    if lines:
        file.write(b"".join(lines))
        lines.clear()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
