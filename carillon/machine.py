"""What the figures were taken on."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import msgspec
import psutil

from shared.process.version import VERSION


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """`busy` is the number of processes that wanted a core in the minute before (load average)."""

    cores: int
    processor: str
    memory_gb: float
    system: str
    python: str
    versions: dict[str, str]
    busy: float


def describe_machine(servers: Mapping[str, str]) -> Machine:
    """This one, with the versions of the servers."""
    return Machine(
        cores=psutil.cpu_count() or 1,
        processor=_processor(),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        system=platform.platform(),
        python=platform.python_version(),
        versions={"carillon": VERSION, **servers},
        busy=round(os.getloadavg()[0], 2),
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
