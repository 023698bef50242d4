"""One key, one notification: whoever asks, however often, through whichever gateway."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.integration.gateway.conftest import Gateway, StartGateway


@pytest.fixture
def key() -> str:
    """An idempotency key."""
    return str(uuid4())


async def test_200_at_once_through_two_gateways_are_one_notification(
    start_gateway: StartGateway, key: str
) -> None:
    first, second = await start_gateway(), await start_gateway()
    body = first.a_request(idempotency_key=key)
    authorization = f"Bearer {first.key}"
    answers = await asyncio.gather(
        *(gateway.post(body, Authorization=authorization) for _ in range(100) for gateway in (first, second))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert (await first.count("notifications"), await first.count("outbox")) == (1, 1)
    await first.released(1)
    assert await first.depth() == 0


async def test_a_key_is_replayed_refused_or_somebody_elses(gateway: Gateway, key: str) -> None:
    body = gateway.a_request()
    first = await gateway.post(body, **{"Idempotency-Key": key})
    again = await gateway.post({**body, "priority": 5}, **{"Idempotency-Key": f'"{key}"'})
    assert (again.status_code, again.text) == (202, first.text)
    assert (again.headers["Idempotency-Replayed"], again.headers["Location"]) == (
        "true",
        first.headers["Location"],
    )
    other = await gateway.post({**body, "priority": 6}, **{"Idempotency-Key": key})
    assert (other.status_code, other.json()["type"]) == (
        422,
        "urn:carillon:problem:idempotency_key_reused",
    )
    stranger = gateway.peers.add_key(scopes=("notifications:send",))
    theirs = await gateway.post(body, **{"Idempotency-Key": key, "Authorization": f"Bearer {stranger}"})
    assert theirs.json()["id"] != first.json()["id"]
    assert await gateway.count("notifications") == 2


async def test_header_and_field_must_agree(gateway: Gateway, key: str) -> None:
    body = gateway.a_request(idempotency_key=key)
    assert (await gateway.post(body, **{"Idempotency-Key": "another"})).status_code == 422
    assert (await gateway.post(body, **{"Idempotency-Key": f'"{key}"'})).status_code == 202
    assert (await gateway.post(body, **{"Idempotency-Key": "with space"})).status_code == 422


async def test_two_different_keys_are_refused_wherever_they_are_sent(gateway: Gateway) -> None:
    request = gateway.a_request()
    for path, body in (("", request), ("/batch", {"notifications": [request]})):
        first = f"key{path}"
        for second, status in (("another", 422), (first, 202)):
            headers = [("Idempotency-Key", first), ("Idempotency-Key", second)]
            answer = await gateway.http.post(
                f"/api/v1/notifications{path}",
                json=body,
                headers=[("Authorization", f"Bearer {gateway.key}"), *headers],
            )
            assert answer.status_code == status, answer.text


async def test_the_first_answer_outlives_the_template_and_the_status(gateway: Gateway, key: str) -> None:
    body = gateway.a_request(idempotency_key=key)
    first = await gateway.post(body)
    await gateway.sql("UPDATE notifications SET status = 'sent'")
    gateway.peers.recipients.clear()
    again = await gateway.post(body)
    assert (again.status_code, again.text) == (202, first.text)


async def test_a_key_that_is_held_up_answers_409_and_delays_nobody_else(
    gateway: Gateway, migrated_url: str, key: str
) -> None:
    """Another gateway holds the key in a transaction that does not end."""
    owner = next(iter(gateway.peers.keys.values())).owner
    holder: Any = await asyncpg.connect(migrated_url)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute(
        "INSERT INTO idempotency_keys (owner, key, fingerprint, created_at) VALUES ($1, $2, '', now())",
        owner,
        key,
    )
    keyed = [gateway.a_request(idempotency_key=key), gateway.a_request(idempotency_key=str(uuid4()))]
    stuck, other, plain = await asyncio.gather(*map(gateway.post, [*keyed, gateway.a_request()]))
    assert (stuck.status_code, stuck.json()["type"]) == (
        409,
        "urn:carillon:problem:idempotency_in_progress",
    )
    assert (other.status_code, plain.status_code) == (202, 202)
    await transaction.rollback()
    await holder.close()
    assert (await gateway.post(keyed[0])).status_code == 202


async def test_a_transaction_that_gives_a_key_up_leaves_it_to_the_next(
    gateway: Gateway, migrated_url: str, key: str
) -> None:
    owner = next(iter(gateway.peers.keys.values())).owner
    holder: Any = await asyncpg.connect(migrated_url)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute(
        "INSERT INTO idempotency_keys (owner, key, fingerprint, created_at) VALUES ($1, $2, '', now())",
        owner,
        key,
    )
    waiting = asyncio.create_task(gateway.post(gateway.a_request(idempotency_key=key)))
    await asyncio.sleep(0.3)
    await transaction.rollback()
    await holder.close()
    assert (await waiting).status_code == 202
    assert await gateway.count("notifications") == 1
