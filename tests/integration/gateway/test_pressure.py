"""A gateway process that is asked for far more than it takes, and by clients that trickle or hang up."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress

import httpx
import pytest

from carillon.bench.http_exchange import HttpConnection, request_bytes
from shared.database.engine import Database
from tests.fakes.peers import FakePeers, served
from tests.integration.gateway.conftest import eventually
from tests.integration.gateway.process import GatewayProcess, gateway_process

SINGLE, BATCH = "/api/v1/notifications", "/api/v1/notifications/batch"
PLACES = 32
STRANGERS_OF_AN_ADDRESS = 11
WARM_UP_S, MEASURED_S = 2.0, 2.5
MOST_GROWTH_MB = 25
CONNECTIONS, ATTACKERS = 200, 300
ANSWER_WITHIN_S = 60.0


NOBODY = "http://127.0.0.1:1"


@pytest.fixture
async def gateway(
    migrated_url: str, second_database_url: str, peers: FakePeers
) -> AsyncIterator[GatewayProcess]:
    """With few places."""
    with served(peers) as peers_url:
        async with gateway_process(
            database_url=migrated_url,
            broker_url=second_database_url,
            peers_url=peers_url,
            places=PLACES,
            places_per_caller=PLACES - 8,
        ) as process:
            yield process


def a_lonely_gateway(**settings: object) -> AbstractAsyncContextManager[GatewayProcess]:
    """With few places, and nobody behind it: no request gets that far."""
    nobody = NOBODY.replace("http", "postgresql")
    return gateway_process(
        database_url=nobody,
        broker_url=nobody,
        peers_url=NOBODY,
        places=PLACES,
        places_per_caller=PLACES - 8,
        **settings,
    )


class HalfARequest:
    """Headers that announce a body, and only a byte of it."""

    async def begin(self, gateway: GatewayProcess, *, credentials: str) -> None:
        """On a connection of its own."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        whole = request_bytes(
            path=SINGLE, authorization=credentials, idempotency_key=b"half", body=b"{" + b" " * 99
        )
        self._writer.write(whole[:-99])
        await self._writer.drain()

    async def status_while_trickling(self) -> int:
        """Of the answer, which comes although bytes still do."""
        answer = asyncio.create_task(self._reader.readuntil(b"\r\n"))
        while not answer.done():
            self._writer.write(b" ")
            await asyncio.wait([answer], timeout=0.2)
        return int((await answer).split()[1])

    async def status(self) -> int:
        """Of the answer."""
        return int((await self._reader.readuntil(b"\r\n")).split()[1])

    async def hang_up(self) -> None:
        """Without a word."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


async def halves(gateway: GatewayProcess, credentials: Sequence[str]) -> list[HalfARequest]:
    begun = [HalfARequest() for _ in credentials]
    await asyncio.gather(
        *(half.begin(gateway, credentials=who) for half, who in zip(begun, credentials, strict=True))
    )
    return begun


async def test_places_are_taken_before_the_body_and_free_as_soon_as_a_client_hangs_up() -> None:
    async with a_lonely_gateway() as gateway:
        held = await halves(gateway, [f"Bearer {number}" for number in range(STRANGERS_OF_AN_ADDRESS)])
        await eventually(lambda: _taken(gateway, STRANGERS_OF_AN_ADDRESS))
        [refused] = await halves(gateway, ["Bearer late"])
        assert await refused.status() == 429
        # Who sends it all before looking for the answer has the answer, too.
        async with httpx.AsyncClient(base_url=gateway.url) as http:
            large = await http.post(SINGLE, content=b"{" + b" " * 2**20)
        assert (large.status_code, large.headers["content-type"]) == (429, "application/problem+json")
        assert large.headers["connection"] == "close"
        await _hang_up([refused, *held])
        await eventually(lambda: _taken(gateway, 0))
        # By the hang-up, and not because the time was over.
        assert await answered(gateway, 499) == STRANGERS_OF_AN_ADDRESS
        assert await answered(gateway, 408) == 0


async def test_a_body_that_trickles_is_cut_off_and_leaves_its_place() -> None:
    async with a_lonely_gateway(body_timeout_s=1) as gateway:
        trickling = await halves(gateway, ["Bearer slow"] * 4)
        told = await asyncio.gather(*(half.status_while_trickling() for half in trickling))
        assert told == [408] * 4
        await eventually(lambda: _taken(gateway, 0))
        await _hang_up(trickling)


async def answered(gateway: GatewayProcess, status: int) -> float:
    labels = {"method": "POST", "route": "unrouted", "status": str(status)}
    return await gateway.metric("carillon_http_requests_total", **labels)


async def _taken(gateway: GatewayProcess, count: int) -> bool:
    return await gateway.metric("carillon_admission_places_taken", kind="strangers") == count


async def _hang_up(connections: Sequence[HalfARequest]) -> None:
    for one in connections:
        await one.hang_up()


class Crowd:
    """Clients that ask again as soon as they have an answer."""

    def __init__(self, gateway: GatewayProcess, request: bytes, *, size: int) -> None:
        self.told: Counter[int] = Counter()
        self.accepted = 0
        self._request = request
        self._connections = [HttpConnection("127.0.0.1", gateway.port) for _ in range(size)]
        self._enough = False
        self._asking: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Connect, and ask."""
        await asyncio.gather(*(connection.open() for connection in self._connections))
        self._asking = [asyncio.create_task(self._ask_on(one)) for one in self._connections]

    async def end(self) -> None:
        """No more questions; wait for what was asked."""
        self._enough = True
        await asyncio.gather(*self._asking)
        for connection in self._connections:
            connection.close()

    async def _ask_on(self, connection: HttpConnection) -> None:
        while not self._enough:
            reply = await connection.ask(self._request, within_s=ANSWER_WITHIN_S)
            self.told[reply.status] += 1
            if reply.status == 202:
                self.accepted += json.loads(reply.body).get("accepted", 1)


async def test_one_key_has_two_hundred_connections_and_strangers_do_not_keep_it_out(
    migrated_url: str, second_database_url: str, peers: FakePeers
) -> None:
    key = peers.add_key(scopes=("notifications:send",))
    entry = an_entry(peers)
    with served(peers) as peers_url:
        async with gateway_process(
            database_url=migrated_url, broker_url=second_database_url, peers_url=peers_url
        ) as gateway:
            crowd = Crowd(gateway, request_of(SINGLE, entry, key=key), size=CONNECTIONS)
            await crowd.begin()
            await eventually(lambda: _answers(crowd, CONNECTIONS), within_s=ANSWER_WITHIN_S)
            await crowd.end()
            assert set(crowd.told) == {202}

            attack = await halves(gateway, [f"Bearer ck_live_{number}" for number in range(ATTACKERS)])
            refused = "carillon_admission_refused_total"
            await eventually(lambda: _at_least(gateway, ATTACKERS // 2, refused, reason="caller_full"))
            few = Crowd(gateway, request_of(SINGLE, entry, key=key), size=CONNECTIONS // 2)
            await few.begin()
            await eventually(lambda: _answers(few, CONNECTIONS), within_s=ANSWER_WITHIN_S)
            await few.end()
            assert set(few.told) == {202}
            await _hang_up(attack)


async def _answers(crowd: Crowd, count: int) -> bool:
    return crowd.told.total() >= count


async def _at_least(gateway: GatewayProcess, count: int, name: str, **labels: str) -> bool:
    return await gateway.metric(name, **labels) >= count


def an_entry(peers: FakePeers) -> dict[str, object]:
    return {
        "user_id": str(next(iter(peers.recipients))),
        "notification_type": "email",
        "template_code": "order_shipped",
        "variables": {"name": "Ann"},
    }


def request_of(path: str, body: object, *, key: str) -> bytes:
    return request_bytes(
        path=path,
        authorization=f"Bearer {key}",
        idempotency_key=b"",
        body=json.dumps(body).encode(),
    ).replace(b"Idempotency-Key: \r\n", b"")


async def test_far_too_much_is_refused_and_memory_stays_flat_and_batches_go_first(
    gateway: GatewayProcess, peers: FakePeers, migrated_url: str
) -> None:
    keys = [peers.add_key(scopes=("notifications:send",)) for _ in range(4)]
    entry = an_entry(peers)

    def crowd(path: str, body: object, *, size: int, key: str) -> Crowd:
        return Crowd(gateway, request_of(path, body, key=key), size=size)

    batches = crowd(BATCH, {"notifications": [entry] * 50}, size=20, key=keys[0])
    urgent = crowd(SINGLE, {**entry, "priority": 9}, size=8, key=keys[1])
    many = [crowd(SINGLE, entry, size=100, key=key) for key in keys[2:]]
    await batches.begin()
    await urgent.begin()
    await eventually(lambda: _told(batches, 503, urgent, 202), within_s=ANSWER_WITHIN_S)
    refused = "carillon_admission_refused_total"
    assert await gateway.metric(refused, reason="bulk_full") >= 20
    assert await gateway.metric(refused, reason="full") == 0

    await asyncio.gather(*(one.begin() for one in many))
    await asyncio.sleep(WARM_UP_S)
    warm_mb = gateway.resident_mb()
    await asyncio.sleep(MEASURED_S)
    grown_mb = gateway.resident_mb() - warm_mb
    crowds = [batches, urgent, *many]
    await asyncio.gather(*(one.end() for one in crowds))
    told = sum((one.told for one in crowds), Counter())
    assert set(told) == {202, 429, 503}
    assert told[429] + told[503] > told[202]
    assert grown_mb < MOST_GROWTH_MB
    database = Database(migrated_url)
    await database.start()
    async with database.connection() as connection:
        stored = await connection.fetchval("SELECT count(*) FROM notifications")
    await database.close()
    assert stored == sum(one.accepted for one in crowds)
    assert gateway.process.poll() is None


async def _told(first: Crowd, status: int, second: Crowd, other: int) -> bool:
    return min(first.told[status], second.told[other]) >= 20
