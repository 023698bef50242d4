"""RabbitMQ from Docker, for machines that have an engine and no RabbitMQ of their own."""

import shutil
import signal
import subprocess
from pathlib import Path

from carillon.embedded import child, ports
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from carillon.setup_error import SetupError

IMAGE = "rabbitmq:4-management"
_PULL_TIMEOUT_S = 300
_TIMEOUT_S = 60


def docker_answers() -> bool:
    """Whether there is an engine behind the client, if there is a client."""
    if shutil.which("docker") is None:
        return False
    try:
        return _docker("info").returncode == 0
    except subprocess.TimeoutExpired:
        return False


class ContainerRabbitMQ(EmbeddedRabbitMQ):
    """The same as a node of the PATH. Its data are in a volume, so that they outlive `stop` and `kill`."""

    def __init__(self, *, folder: Path) -> None:
        super().__init__(folder=folder)
        self._name = ""

    def start(self) -> None:
        """Pull the image where it is missing, and run it. Raises SetupError."""
        if not self._name:
            if _docker("pull", "--quiet", IMAGE, timeout_s=_PULL_TIMEOUT_S).returncode != 0:
                raise SetupError(f"Docker answers, but cannot pull {IMAGE}.")
            self._prepare_container()
        self._node = child.spawn(
            [
                "docker", "run", "--rm", "--name", self._name, "--hostname", self._name,
                "--volume", f"{self._name}:/var/lib/rabbitmq",
                "--volume", f"{self.folder / 'carillon.conf'}:/etc/rabbitmq/conf.d/90-carillon.conf:ro",
                "--publish", f"127.0.0.1:{self.port}:5672",
                "--publish", f"127.0.0.1:{self._management_port}:15672",
                IMAGE,
            ],
            log=self.log,
            death_signal=signal.SIGTERM,
        )  # fmt: skip
        self._wait_ready()

    def stop(self) -> None:
        """Stop the node in order."""
        self._end("stop", "--time", "30")

    def kill(self) -> None:
        """kill -9; a signal to Docker's client would leave the node running."""
        self._end("kill")

    def close(self) -> None:
        """End the node and throw its data away."""
        self.kill()
        if self._name:
            _docker("volume", "rm", "--force", self._name)

    def _prepare_container(self) -> None:
        self.port, self._management_port = ports.free_port(), ports.free_port()
        self._name = f"carillon-tests-{self.port}"
        conf = self.folder / "carillon.conf"
        # Through a published port, `guest` does not come from the node's own loopback interface.
        conf.write_text("loopback_users.guest = false\nlog.console.level = warning\n")
        conf.chmod(0o644)

    def _end(self, *command: str) -> None:
        if self._node is not None:
            _docker(*command, self._name)
            child.stop(self._node, (signal.SIGTERM, 10.0))
            self._node = None


def _docker(*arguments: str, timeout_s: float = _TIMEOUT_S) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["docker", *arguments], capture_output=True, check=False, timeout=timeout_s)
