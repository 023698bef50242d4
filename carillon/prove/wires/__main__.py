"""`python -m carillon.prove.wires PLAN.json`: until SIGTERM or SIGINT. It is ready when the control socket
answers."""

import asyncio
import resource
import signal
import sys
from pathlib import Path

import msgspec
import uvloop

from carillon.prove.wires.control import Control
from carillon.prove.wires.orders import Plan
from carillon.prove.wires.wire import Wire

_MOST_FILES = 65536


async def serve(plan: Plan) -> None:
    """Raises OSError where a port or the path is taken."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    wires = {wire.name: Wire(wire) for wire in plan.wires}
    control = Control(wires)
    try:
        for wire in wires.values():
            await wire.open()
        listener = await control.listen(plan.control)
        await stopped.wait()
        listener.close()
        control.close()
    finally:
        for wire in wires.values():
            await wire.close()


def _allow_many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def main(path: Path) -> None:
    """With the plan at `path`. What stands at the control socket's place is removed."""
    plan = msgspec.json.decode(path.read_bytes(), type=Plan)
    control = Path(plan.control)
    _allow_many_files()
    control.unlink(missing_ok=True)
    try:
        uvloop.run(serve(plan))
    finally:
        control.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
