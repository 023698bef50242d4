"""A RabbitMQ node of our own: from the PATH, on the loopback interface, data thrown away. For the demo
(`--broker rabbitmq`), the bench and the tests; an installation is given a RabbitMQ that is looked after.

Node, distribution and epmd ports are private, so that it neither meets nor disturbs a RabbitMQ that runs on
the machine. `RABBITMQ_…` variables: https://www.rabbitmq.com/docs/configure#customise-environment.
"""

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

from carillon.embedded import child, ports
from carillon.embedded.account import Account, account_for
from carillon.setup_error import SetupError

USER = "guest"
PASSWORD = "guest"  # RabbitMQ admits this account from the loopback interface alone
_START_TIMEOUT_S = 90.0
# Where Debian keeps the scripts that do not insist on running as root or rabbitmq.
_SCRIPT_FOLDERS = (Path("/usr/lib/rabbitmq/bin"), Path("/opt/homebrew/opt/rabbitmq/sbin"))


def find_rabbitmq() -> Path | None:
    """The script `rabbitmq-server` that may run under any account, or None."""
    for folder in _SCRIPT_FOLDERS:
        if (folder / "rabbitmq-server").exists() and shutil.which("erl"):
            return folder / "rabbitmq-server"
    found = shutil.which("rabbitmq-server")
    return Path(found) if found is not None and shutil.which("erl") else None


class EmbeddedRabbitMQ:
    """One node in `folder`, which the node's account must be able to reach."""

    def __init__(self, *, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "rabbitmq.log"
        self.port = 0
        self._management_port = 0
        self._epmd: subprocess.Popen[bytes] | None = None
        self._node: subprocess.Popen[bytes] | None = None
        self._environment: dict[str, str] = {}
        self._account: Account | None = None

    def url(self, vhost: str = "/") -> str:
        """The AMQP URL of one virtual host."""
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    @property
    def pid(self) -> int | None:
        """The node's process id while it runs."""
        return self._node.pid if self._node is not None and self._node.poll() is None else None

    @property
    def version(self) -> str:
        """As it says at its start."""
        banner = re.search(r"RabbitMQ (\d\S*)", self.log.read_text(errors="replace"))
        return banner[1] if banner else "unknown"

    def start(self) -> None:
        """Start the node and wait until it takes connections: five to ten seconds.

        The ports stay the same when it is started again. From the main thread. Raises SetupError.
        """
        script = find_rabbitmq()
        if script is None:
            raise SetupError("RabbitMQ is not installed: there is no rabbitmq-server on the PATH.")
        if not self._environment:
            self._prepare()
        if self._epmd is None or self._epmd.poll() is not None:
            self._start_epmd()
        self._node = child.spawn(
            ["/bin/sh", script],
            log=self.log,
            death_signal=signal.SIGTERM,
            account=self._account,
            environment=self._environment,
            working_directory=self.folder,
        )
        self._wait_ready()

    def stop(self) -> None:
        """Stop the node in order, so that a later `start` finds its durable data."""
        if self._node is not None:
            child.stop(self._node, (signal.SIGTERM, 30.0))
            self._node = None

    def kill(self) -> None:
        """kill -9: at the end of the tests, and for tests of what survives it."""
        if self._node is not None:
            child.stop(self._node)
            self._node = None

    def close(self) -> None:
        """End everything that was started, the port mapper included."""
        self.kill()
        if self._epmd is not None:
            child.stop(self._epmd, (signal.SIGTERM, 2.0))
            self._epmd = None

    def create_vhost(self, name: str) -> str:
        """A fresh virtual host; its AMQP URL."""
        self._management("PUT", f"vhosts/{quote(name, safe='')}")
        self._management(
            "PUT",
            f"permissions/{quote(name, safe='')}/{USER}",
            b'{"configure": ".*", "write": ".*", "read": ".*"}',
        )
        return self.url(name)

    def delete_vhost(self, name: str) -> None:
        """Remove a virtual host with all that is in it: to a client, a wiped broker."""
        self._management("DELETE", f"vhosts/{quote(name, safe='')}")

    def _prepare(self) -> None:
        self._account = account_for("rabbitmq", "nobody")
        self.port, self._management_port, distribution, epmd = (ports.free_port() for _ in range(4))
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "management.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self._management_port}\n"
            "disk_free_limit.absolute = 50MB\n"
            "vm_memory_high_watermark.absolute = 1GB\n"
            # Figures for pages that nobody looks at: every 5 s they are half of what a node at rest costs.
            "collect_statistics_interval = 60000\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
        )
        if self._account is not None:
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, self._account.uid, self._account.gid)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")}
        self._environment = inherited | {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"carillon{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # Has the script become the node instead of waiting for it, so that signals reach the node.
            "RUNNING_UNDER_SYSTEMD": "1",
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _start_epmd(self) -> None:
        epmd = shutil.which("epmd")
        if epmd is None:
            raise SetupError("RabbitMQ cannot start: Erlang's epmd is not on the PATH.")
        self._epmd = child.spawn(
            [epmd],
            log=self.log,
            death_signal=signal.SIGKILL,
            account=self._account,
            environment=self._environment,
        )

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                self._management("GET", "overview")
            except (OSError, urllib.error.URLError):
                pass
            else:
                if ports.answers(self.port):
                    return
            if self.pid is None or time.monotonic() > deadline:
                why = child.last_words(self.log, marks=("[error]", "ERROR", "error:"))
                self.close()
                raise SetupError(f"RabbitMQ did not start: {why} (log: {self.log})")
            time.sleep(0.2)

    def _management(self, method: str, path: str, body: bytes | None = None) -> None:
        credentials = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        # S310 warns of file: URLs; this one is made here.
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._management_port}/api/{path}",
            method=method,
            data=body,
            headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310
            pass
