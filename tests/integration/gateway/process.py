"""A gateway as a process of its own, so that its memory and its sockets are its own."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import psutil

from tests.architecture.source import ROOT

SECRET = "a secret of thirty-two bytes or more"
STARTS_WITHIN_S = 60.0


@dataclass(frozen=True, kw_only=True)
class GatewayProcess:
    """`key`: an API key that may send."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.port}"

    def resident_mb(self) -> float:
        """Its memory now."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20

    async def metric(self, name: str, **labels: str) -> float:
        """One series as /metrics has it; 0 where it is not there."""
        wanted = name + (
            "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}" if labels else ""
        )
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as http:
            for line in (await http.get("/metrics")).text.splitlines():
                if line.startswith(wanted + " "):
                    return float(line.rpartition(" ")[2])
        return 0.0


@asynccontextmanager
async def gateway_process(
    *, database_url: str, broker_url: str, peers_url: str, **settings: object
) -> AsyncIterator[GatewayProcess]:
    """It listens; the peers are all at one URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    values: dict[str, object] = {
        "environment": "test",
        "port": port,
        "database_url": database_url,
        "broker_url": broker_url,
        "user_service_url": peers_url,
        "template_service_url": peers_url,
        "channel_urls": f'{{"email": "{peers_url}", "push": "{peers_url}"}}',
        "service_secret": SECRET,
        "redis_url": "redis://127.0.0.1:1/0",
        **settings,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARILLON_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway_service"],
        cwd=ROOT,
        env=environment | {f"CARILLON_{name.upper()}": str(value) for name, value in values.items()},
        stdout=subprocess.DEVNULL,
    )
    gateway = GatewayProcess(process=process, port=port)
    try:
        await _until_it_answers(gateway)
        yield gateway
    finally:
        process.kill()
        process.wait()


async def _until_it_answers(gateway: GatewayProcess) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    async with httpx.AsyncClient(base_url=gateway.url) as http:
        while True:
            assert gateway.process.poll() is None, "the gateway has ended"
            assert time.monotonic() < deadline
            try:
                await http.get("/health")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
