"""Single look-ups are asked together, and never answered from an earlier call."""

import asyncio
import time
from uuid import UUID

import httpx
import msgspec
import pytest

from shared.clients.peer import PeerUnavailable
from shared.clients.users import RecipientLookup, UserClient
from shared.contracts.channels import Channel
from shared.contracts.recipients import Address, Recipient, RecipientAnswer, RecipientQuestion
from shared.process.identifiers import uuid7
from shared.process.service_tokens import ServiceTokens
from tests.builders import a_recipient

TOKENS = ServiceTokens("a service secret for tests, of 32 bytes and more", "gateway")


class UserService(httpx.AsyncBaseTransport):
    """Answers look-ups from a dictionary; `gate`, where there is one, holds every answer back."""

    def __init__(self, *known: Recipient) -> None:
        self.known: dict[UUID, Recipient] = {person.id: person for person in known}
        self.asked: list[RecipientQuestion] = []
        self.at_once = 0
        self.most_at_once = 0
        self.gate: asyncio.Event | None = None
        self.away = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One look-up."""
        if self.away:
            raise httpx.ConnectError("refused")
        question = msgspec.json.decode(await request.aread(), type=RecipientQuestion)
        self.asked.append(question)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await (self.gate.wait() if self.gate else asyncio.sleep(0))
        self.at_once -= 1
        by_email = {person.email: person for person in self.known.values()}
        answer = RecipientAnswer(
            by_id={str(id_): self.known[id_] for id_ in question.ids if id_ in self.known},
            by_external_id={},
            by_address={
                f"{address.channel.value}:{address.value}": by_email[address.value]
                for address in question.addresses
                if address.value in by_email
            },
        )
        return httpx.Response(200, content=msgspec.json.encode(answer))


def lookup_of(service: UserService) -> RecipientLookup:
    """On a client that talks to `service`."""
    return RecipientLookup(UserClient("http://user_service", TOKENS, transport=service))


async def test_concurrent_lookups_share_a_call_and_each_gets_their_own() -> None:
    people = [a_recipient() for _ in range(150)]
    service = UserService(*people)
    lookup = lookup_of(service)
    found = await asyncio.gather(*(lookup.by_id(person.id) for person in people))
    assert [each.recipient for each in found] == people
    assert len(service.asked) == 1


async def test_no_call_asks_for_more_than_200_and_no_more_than_2_go_out_at_once() -> None:
    people = [a_recipient() for _ in range(2_000)]
    service = UserService(*people)
    lookup = lookup_of(service)
    service.gate = asyncio.Event()
    waiting = [asyncio.create_task(lookup.by_id(person.id)) for person in people]
    async with asyncio.timeout(5):
        while service.at_once < 2:
            await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)
    assert service.at_once == 2
    service.gate.set()
    found = await asyncio.gather(*waiting)
    assert [each.recipient for each in found] == people
    assert service.most_at_once == 2
    assert max(len(question.ids) for question in service.asked) == 200


async def test_nobody_is_answered_from_a_call_that_went_out_before_they_asked() -> None:
    person = a_recipient()
    service = UserService(person)
    lookup = lookup_of(service)
    service.gate = asyncio.Event()
    early = asyncio.create_task(lookup.by_id(person.id))
    async with asyncio.timeout(5):
        while not service.asked:
            await asyncio.sleep(0)
    asked_from = time.monotonic()
    late = asyncio.create_task(lookup.by_id(person.id))
    async with asyncio.timeout(5):
        while len(service.asked) < 2:
            await asyncio.sleep(0)
    service.gate.set()
    assert (await early).asked_at < asked_from <= (await late).asked_at


async def test_all_ways_of_asking_go_into_one_call() -> None:
    person = a_recipient()
    service = UserService(person)
    lookup = lookup_of(service)
    by_id, by_address, nobody, stranger = await asyncio.gather(
        lookup.by_id(person.id),
        lookup.by_address(Address(channel=Channel.EMAIL, value=str(person.email))),
        lookup.by_external_id("unheard-of"),
        lookup.by_id(uuid7()),
    )
    assert by_id.recipient == by_address.recipient == person
    assert nobody.recipient is None
    assert stranger.recipient is None
    assert len(service.asked) == 1


async def test_failed_call_fails_those_who_waited_for_it_and_nobody_after() -> None:
    person = a_recipient()
    service = UserService(person)
    lookup = lookup_of(service)
    service.away = True
    failed = await asyncio.gather(*(lookup.by_id(uuid7()) for _ in range(10)), return_exceptions=True)
    assert {type(each) for each in failed} == {PeerUnavailable}
    service.away = False
    assert (await lookup.by_id(person.id)).recipient == person


async def test_waiter_that_gives_up_does_not_hurt_the_others() -> None:
    one, other = a_recipient(), a_recipient()
    lookup = lookup_of(UserService(one, other))
    impatient = asyncio.create_task(lookup.by_id(one.id))
    patient = asyncio.create_task(lookup.by_id(other.id))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).recipient == other


async def test_close_leaves_nobody_waiting() -> None:
    service = UserService()
    lookup = lookup_of(service)
    service.gate = asyncio.Event()
    waiting = [asyncio.create_task(lookup.by_id(uuid7())) for _ in range(1_500)]
    async with asyncio.timeout(5):
        while service.at_once < 2:
            await asyncio.sleep(0)
        await lookup.close()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(each) for each in ended} == {PeerUnavailable}
    with pytest.raises(PeerUnavailable):
        await lookup.by_id(uuid7())


async def test_whoever_can_do_without_waits_no_longer_than_their_patience() -> None:
    """A service hangs: an address or an id can be looked up by the worker as well, an external id cannot."""
    service = UserService()
    lookup = RecipientLookup(
        UserClient("http://user_service", TOKENS, transport=service, lookup_timeout_s=60), patience_s=0.05
    )
    service.gate = asyncio.Event()
    needed = asyncio.create_task(lookup.by_external_id("customer-1"))
    address = Address(channel=Channel.EMAIL, value="ann@example.com")
    async with asyncio.timeout(10):
        for asked in (lookup.by_id(uuid7()), lookup.by_address(address), lookup.by_id(uuid7())):
            with pytest.raises(PeerUnavailable):
                await asked
        assert not needed.done()
        service.gate.set()
        assert (await needed).recipient is None
    await lookup.close()


async def test_a_look_up_ends_after_the_time_that_is_allowed_for_it() -> None:
    service = UserService()
    lookup = RecipientLookup(
        UserClient("http://user_service", TOKENS, transport=service, lookup_timeout_s=0.05)
    )
    service.gate = asyncio.Event()
    with pytest.raises(PeerUnavailable, match=r"0\.05"):
        await lookup.by_external_id("customer-1")
    await lookup.close()
