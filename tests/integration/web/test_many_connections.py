"""Connections that come all at once."""

import asyncio
import socket
from contextlib import ExitStack

import uvicorn
import uvloop
from fastapi import FastAPI

from shared.web.server import ServiceServer

CROWD = 256
ROUNDS = 64
"""Of the event loop, in which all are to be taken; with one in each it would be as many as there are."""


def test_a_crowd_of_new_connections_is_taken_within_a_few_rounds_of_the_loop() -> None:
    assert uvloop.run(rounds_until_taken(CROWD)) <= ROUNDS


async def rounds_until_taken(count: int) -> int:
    """How many rounds of the loop it takes."""
    config = uvicorn.Config(FastAPI(), host="127.0.0.1", port=0, lifespan="off", log_config=None, backlog=512)
    server = ServiceServer(config, stall_limit_s=30, before_stopping=())
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(30):
        while not server.started or len(server.servers) == 1:
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    rounds = 0
    with ExitStack() as crowd:
        for _ in range(count):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        while len(server.server_state.connections) < count:
            await asyncio.sleep(0)
            rounds += 1
    server.should_exit = True
    await serving
    return rounds
