"""Where everything listens: on ports that the kernel gives to nobody's outgoing connections, since a service
that was killed must find its own free again."""

import contextlib
import random
import socket

from carillon.embedded import ports
from carillon.services import SERVICES
from carillon.setup_error import SetupError

WIRED_SERVERS = ("postgres", "broker", "redis", "mail", "fcm")
"""The servers and providers that a wire can stand in front of, besides every service."""
REPLICAS = 2
_BASES = range(12_000, 30_000, 50)
_TRIES = 100


class Layout:
    """A port for each replica of each service, for each provider, and for each wire."""

    def __init__(self) -> None:
        names = [
            *(replica(service.name, number) for service in SERVICES for number in range(1, REPLICAS + 1)),
            "mail",
            "fcm",
            *(wire(name) for name in (*WIRED_SERVERS, *(service.name for service in SERVICES))),
        ]
        base, self._held = _free_base(len(names))
        self._ports = {name: base + offset for offset, name in enumerate(names)}

    def __getitem__(self, name: str) -> int:
        return self._ports[name]

    def close(self) -> None:
        """Others may look at these ports from now on."""
        self._held.close()

    def replicas(self, service: str) -> list[int]:
        """The ports of all that there can be, the first one first."""
        return [self[replica(service, number)] for number in range(1, REPLICAS + 1)]


def replica(service: str, number: int) -> str:
    """The name of one process: `email`, `email-2`."""
    return service if number == 1 else f"{service}-{number}"


def wire(name: str) -> str:
    """What the wire in front of `name` is called in the layout."""
    return f"wire to {name}"


def _free_base(count: int) -> tuple[int, socket.socket]:
    """The first of so many free ports, and one beside them that is held for as long as we live: another
    experiment finds these free until something listens there."""
    for base in random.sample(_BASES, _TRIES):
        held = socket.socket()
        with contextlib.suppress(OSError):
            held.bind(("127.0.0.1", base + _BASES.step - 1))
            if all(ports.is_free(base + offset) for offset in range(count)):
                return base, held
        held.close()
    raise SetupError("No ports are free between 12000 and 30000.")
