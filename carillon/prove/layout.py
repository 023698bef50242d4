"""Where everything listens: on ports that the kernel gives to nobody's outgoing connections, since a service
that was killed must find its own free again."""

import random

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
        base = _free_base(len(names))
        self._ports = {name: base + offset for offset, name in enumerate(names)}

    def __getitem__(self, name: str) -> int:
        return self._ports[name]

    def replicas(self, service: str) -> list[int]:
        """The ports of all that there can be, the first one first."""
        return [self[replica(service, number)] for number in range(1, REPLICAS + 1)]


def replica(service: str, number: int) -> str:
    """The name of one process: `email`, `email-2`."""
    return service if number == 1 else f"{service}-{number}"


def wire(name: str) -> str:
    """What the wire in front of `name` is called in the layout."""
    return f"wire to {name}"


def _free_base(count: int) -> int:
    for base in random.sample(_BASES, _TRIES):  # two experiments at once do not look at the same
        if all(ports.is_free(base + offset) for offset in range(count)):
            return base
    raise SetupError("No ports are free between 12000 and 30000.")
