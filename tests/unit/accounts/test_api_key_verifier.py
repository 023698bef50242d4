"""API keys: asked about seldom, revoked soon, and good for a while without the user service."""

import asyncio
from hashlib import sha256
from secrets import token_urlsafe

import pytest

from gateway_service.domain.access import InvalidCredentials
from gateway_service.domain.api_keys import ApiKeyVerifier
from shared.clients.peer import PeerUnavailable
from shared.contracts.http.auth import Scope
from shared.contracts.recipients import ApiKeyPrincipal
from shared.process.identifiers import uuid7


class UserService:
    """Knows the keys it was given, and counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKeyPrincipal] = {}
        self.asked = 0
        self.away = False
        self.gate: asyncio.Event | None = None

    def add(self, kind: str = "live", scopes: tuple[str, ...] = ("notifications:send",)) -> str:
        """The secret of a new key."""
        secret = f"ck_{kind}_{token_urlsafe(32)}"
        self.keys[sha256(secret.encode()).hexdigest()] = ApiKeyPrincipal(
            key_id=uuid7(), owner=uuid7(), kind=kind, scopes=scopes
        )
        return secret

    async def ask(self, digest: str) -> ApiKeyPrincipal | None:
        """As UserClient does."""
        self.asked += 1
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise PeerUnavailable("user_service", "away")
        return self.keys.get(digest)


class Stopwatch:
    """Monotonic time that stands still unless told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def service() -> UserService:
    """With no keys yet."""
    return UserService()


@pytest.fixture
def watch() -> Stopwatch:
    """At 1,000 s."""
    return Stopwatch()


@pytest.fixture
def verifier(service: UserService, watch: Stopwatch) -> ApiKeyVerifier:
    """With the usual times."""
    return ApiKeyVerifier(service.ask, fresh_s=10, stale_s=300, monotonic_s=watch)


async def settle() -> None:
    """Lets what was started in the background end."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_key_tells_whose_and_what(service: UserService, verifier: ApiKeyVerifier) -> None:
    secret = service.add(scopes=("notifications:send", "something:newer"))
    principal = await verifier.verify(secret)
    assert principal.kind == "api_key"
    assert principal.user_id is None
    assert principal.scopes == {Scope.NOTIFICATIONS_SEND}
    assert not principal.test
    assert (await verifier.verify(service.add(kind="test"))).test


async def test_many_at_once_ask_once(service: UserService, verifier: ApiKeyVerifier) -> None:
    secret = service.add()
    await asyncio.gather(*(verifier.verify(secret) for _ in range(100)))
    assert service.asked == 1


@pytest.mark.parametrize(
    "secret", ["ck_", "ck_live_short", "ck_dead_" + "a" * 43, "ck_live_" + "a" * 44, "ck_live_" + "é" * 43]
)
async def test_malformed_key_is_refused_without_asking(
    service: UserService, verifier: ApiKeyVerifier, secret: str
) -> None:
    with pytest.raises(InvalidCredentials):
        await verifier.verify(secret)
    assert service.asked == 0


async def test_unknown_key_is_refused_and_asked_about_again_soon(
    service: UserService, verifier: ApiKeyVerifier, watch: Stopwatch
) -> None:
    secret = service.add()
    known = service.keys.copy()
    service.keys.clear()
    for _ in range(10):
        with pytest.raises(InvalidCredentials):
            await verifier.verify(secret)
    assert service.asked == 1
    service.keys = known
    watch.now += 2
    await verifier.verify(secret)


async def test_revoked_key_is_refused_after_10_s_at_most(
    service: UserService, verifier: ApiKeyVerifier, watch: Stopwatch
) -> None:
    secret = service.add()
    await verifier.verify(secret)
    service.keys.clear()
    watch.now += 10
    with pytest.raises(InvalidCredentials):
        await verifier.verify(secret)


async def test_key_in_use_is_asked_about_before_its_time_is_up(
    service: UserService, verifier: ApiKeyVerifier, watch: Stopwatch
) -> None:
    secret = service.add()
    await verifier.verify(secret)
    watch.now += 6
    await verifier.verify(secret)
    await settle()
    assert service.asked == 2
    watch.now += 6
    service.away = True
    await verifier.verify(secret)  # 12 s after the first answer, 6 after the second
    await settle()


async def test_known_key_goes_on_for_five_minutes_while_the_user_service_is_away(
    service: UserService, verifier: ApiKeyVerifier, watch: Stopwatch
) -> None:
    secret = service.add()
    await verifier.verify(secret)
    service.away = True
    while watch.now < 1_290:
        watch.now += 7
        await verifier.verify(secret)
        await settle()
    watch.now = 1_301
    with pytest.raises(PeerUnavailable):
        await verifier.verify(secret)


async def test_nobody_waits_for_an_absent_user_service_again_and_again(
    service: UserService, verifier: ApiKeyVerifier, watch: Stopwatch
) -> None:
    secret = service.add()
    await verifier.verify(secret)
    service.away = True
    watch.now += 20
    await verifier.verify(secret)
    asked = service.asked
    for _ in range(100):
        await verifier.verify(secret)
    await settle()
    assert service.asked == asked


async def test_revocation_counts_at_once_when_the_user_service_is_back(
    service: UserService, verifier: ApiKeyVerifier, watch: Stopwatch
) -> None:
    secret = service.add()
    await verifier.verify(secret)
    service.away = True
    watch.now += 20
    await verifier.verify(secret)
    service.away = False
    service.keys.clear()
    watch.now += 2
    await verifier.verify(secret)  # the last time: it has the question asked
    await settle()
    with pytest.raises(InvalidCredentials):
        await verifier.verify(secret)


async def test_unknown_key_while_the_user_service_is_away_is_not_called_invalid(
    service: UserService, verifier: ApiKeyVerifier
) -> None:
    secret = service.add()
    service.away = True
    with pytest.raises(PeerUnavailable):
        await verifier.verify(secret)


async def test_caller_that_gives_up_does_not_hurt_the_others(
    service: UserService, verifier: ApiKeyVerifier
) -> None:
    secret = service.add()
    first = asyncio.create_task(verifier.verify(secret))
    second = asyncio.create_task(verifier.verify(secret))
    await asyncio.sleep(0)
    first.cancel()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_known_key_does_not_wait_for_a_user_service_that_hangs(
    service: UserService, verifier: ApiKeyVerifier, watch: Stopwatch
) -> None:
    secret = service.add()
    await verifier.verify(secret)
    service.gate = asyncio.Event()
    watch.now += 60
    async with asyncio.timeout(10):
        await verifier.verify(secret)
        # After that nobody waits at all.
        for _ in range(90):
            watch.now += 0.1
            await verifier.verify(secret)
    assert service.asked == 2
    # What it says in the end counts.
    service.keys.clear()
    service.gate.set()
    await settle()
    with pytest.raises(InvalidCredentials):
        await verifier.verify(secret)
