"""Over real sockets: a peer that froze under load answers again, and every place for a call is free."""

import asyncio

from shared.clients.peer import Peer, PeerUnavailable
from shared.process.service_tokens import ServiceTokens

TOKENS = ServiceTokens("a service secret for tests, of 32 bytes and more", "gateway")
PLACES = 4


async def test_a_peer_that_froze_under_load_is_reached_again() -> None:
    thawed = asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await thawed.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    peer = Peer(base_url=f"http://127.0.0.1:{port}", service="frozen", tokens=TOKENS, max_connections=PLACES)

    async def ask() -> bool:
        try:
            await peer.call("GET", "/x", timeout_s=0.3)
        except PeerUnavailable:
            return False
        return True

    for _ in range(3):
        assert not any(await asyncio.gather(*(ask() for _ in range(5 * PLACES))))
    thawed.set()
    await asyncio.sleep(0.4)  # what was under way ends with its own time-out
    assert all(await asyncio.gather(*(ask() for _ in range(5 * PLACES))))
    await peer.close()
    for writer in writers:
        writer.close()
    server.close()
    await server.wait_closed()
