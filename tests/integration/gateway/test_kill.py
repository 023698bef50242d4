"""kill -9 at any moment: every notification that was answered with 202 is released."""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from carillon.embedded.ports import free_port
from shared.broker.factory import connect_broker
from shared.broker.topology import lane_queue
from shared.contracts.channels import Channel, Lane
from shared.contracts.delivery import DeliveryRequested
from tests.fakes.peers import FakePeers, served
from tests.integration.gateway.conftest import CHANNELS, SECRET

KILLS = 8
AT_ONCE = 10


async def start_process(port: int, environment: dict[str, str]) -> asyncio.subprocess.Process:
    """A gateway of its own, once it answers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway_service",
        env={**os.environ, **environment, "CARILLON_PORT": str(port)},
        stdout=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(30), httpx.AsyncClient() as http:
        while True:
            with suppress(httpx.HTTPError):
                await http.get(f"http://127.0.0.1:{port}/health")
                return process
            await asyncio.sleep(0.05)


async def post_until_killed(
    process: asyncio.subprocess.Process, url: str, *, key: str, body: dict[str, object]
) -> set[str]:
    """What was accepted by a gateway that is killed as soon as it has accepted something."""
    accepted: set[str] = set()

    async def post(http: httpx.AsyncClient) -> None:
        with suppress(httpx.HTTPError):
            answer = await http.post(url, json=body, headers={"Authorization": f"Bearer {key}"})
            if answer.status_code == 202:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
                accepted.add(answer.json()["id"])

    async with httpx.AsyncClient(timeout=10) as http:
        await asyncio.gather(*(post(http) for _ in range(AT_ONCE)))
    await process.wait()
    return accepted


@pytest.mark.slow
async def test_killed_again_and_again_between_commit_and_publish(
    migrated_url: str, second_database_url: str, peers: FakePeers
) -> None:
    person = next(iter(peers.recipients))
    body: dict[str, object] = {
        "user_id": str(person),
        "notification_type": "email",
        "template_code": "order_shipped",
        "variables": {"name": "Ann"},
    }
    key = peers.add_key(scopes=("notifications:send",))
    with served(peers) as peers_url:
        environment = {
            "CARILLON_ENVIRONMENT": "test",
            "CARILLON_DATABASE_URL": migrated_url,
            "CARILLON_BROKER_URL": second_database_url,
            "CARILLON_SERVICE_SECRET": SECRET,
            "CARILLON_USER_SERVICE_URL": peers_url,
            "CARILLON_TEMPLATE_SERVICE_URL": peers_url,
            "CARILLON_CHANNEL_URLS": json.dumps({channel.value: peers_url for channel in CHANNELS}),
        }
        port = free_port()
        url = f"http://127.0.0.1:{port}/api/v1/notifications"
        accepted: set[str] = set()
        left_behind = 0
        for _ in range(KILLS):
            process = await start_process(port, environment)
            accepted |= await post_until_killed(process, url, key=key, body=body)
            left_behind += await unpublished(migrated_url)
        assert len(accepted) >= KILLS
        # Otherwise no kill has hit the moment that this is about.
        assert left_behind > 0
        process = await start_process(port, environment)
        try:
            released = await drain(second_database_url, accepted)
        finally:
            process.terminate()
            await process.wait()
    assert accepted <= released


async def unpublished(database_url: str) -> int:
    """Entries that are committed and not known to be published."""
    connection: Any = await asyncpg.connect(database_url)
    count = await connection.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")
    await connection.close()
    return int(count)


async def drain(broker_url: str, expected: set[str]) -> set[str]:
    """The ids of what comes in the lane, until all that is expected has come, or 30 s are over."""
    broker = connect_broker(broker_url, client_name="test")
    await broker.start(wait_s=10)
    consumer = broker.consume(lane_queue(Channel.EMAIL, Lane.NORMAL), prefetch=100)
    found: set[str] = set()
    with suppress(TimeoutError):
        async with asyncio.timeout(30):
            async for delivery in consumer:
                order = msgspec.json.decode(delivery.body, type=DeliveryRequested)
                found.add(str(order.notification_id))
                await delivery.ack()
                if expected <= found:
                    break
    await consumer.close()
    await broker.close()
    return found
