"""As root on Debian, what tests need and the machine has not: from the distribution."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SERVICE_POLICY = Path("/usr/sbin/policy-rc.d")


def may_install() -> bool:
    """Whether this is root on a Debian."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(*packages: str, program: str) -> bool:
    """Whether `program` is there now; of several processes that run tests the second finds it installed. A
    service that Debian would start at once is not started."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-q", "install", "-y", "--no-install-recommends", *packages]
    with _one_at_a_time(), _services_left_alone():
        if shutil.which(program) is not None:
            return True
        sys.stderr.write(f"\nInstalling {packages[0]} from the distribution, for the tests.\n")
        for step in (command, ["apt-get", "-q", "update"], command):
            done = subprocess.run(step, env=environment, capture_output=True, check=False)
            if step == command and done.returncode == 0:
                return True
    return False


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with Path(tempfile.gettempdir(), "carillon-tests-installing").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _services_left_alone() -> Iterator[None]:
    """See invoke-rc.d(8): exit code 101 of this script forbids to start a service."""
    if _SERVICE_POLICY.exists():
        yield
        return
    _SERVICE_POLICY.write_text("#!/bin/sh\nexit 101\n")
    _SERVICE_POLICY.chmod(0o755)
    try:
        yield
    finally:
        _SERVICE_POLICY.unlink(missing_ok=True)
