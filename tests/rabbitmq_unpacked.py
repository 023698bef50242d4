"""A node of the RabbitMQ 4 that `rabbitmq_archive` unpacks."""

import os
import signal
from pathlib import Path

from carillon.embedded import child
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from tests.rabbitmq_archive import unpacked_rabbitmq

# What later releases will do without, refused today already.
_DEPRECATED = """
deprecated_features.permit.global_qos = false
deprecated_features.permit.transient_nonexcl_queues = false
deprecated_features.permit.queue_master_locator = false
deprecated_features.permit.ram_node_type = false
"""


class UnpackedRabbitMQ(EmbeddedRabbitMQ):
    """The same as a node of the PATH."""

    def __init__(self, *, folder: Path) -> None:
        super().__init__(folder=folder)
        self._root = Path()

    def start(self) -> None:
        """Unpack it where that has not been done yet, and start it. Raises SetupError."""
        self._root = unpacked_rabbitmq()
        if not self._environment:
            self._prepare()
            with (self.folder / "rabbitmq.conf").open("a") as configuration:
                configuration.write(_DEPRECATED)
            self._environment["PATH"] = f"{self._root / 'usr/bin'}:{os.environ['PATH']}"
        if self._epmd is None or self._epmd.poll() is not None:
            self._start_epmd()
        self._node = child.spawn(
            ["/bin/sh", self._root / "usr/lib/rabbitmq/bin/rabbitmq-server"],
            log=self.log,
            death_signal=signal.SIGTERM,
            account=self._account,
            environment=self._environment,
            working_directory=self.folder,
        )
        self._wait_ready()

    def _start_epmd(self) -> None:
        self._epmd = child.spawn(
            [self._root / "usr/bin/epmd"],
            log=self.log,
            death_signal=signal.SIGKILL,
            account=self._account,
            environment=self._environment,
        )
