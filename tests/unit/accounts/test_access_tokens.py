"""Access tokens: only what the user service signed, for us, and not too long ago, is believed."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway_service.domain.access import InvalidCredentials
from gateway_service.domain.access_tokens import AccessTokenVerifier
from shared.clients.peer import PeerUnavailable
from shared.contracts.http.auth import Role, Scope
from shared.process.clock import SystemClock
from shared.process.identifiers import uuid7
from user_service.domain.access_tokens import (
    AccessTokens,
    SigningKey,
    UnusableSigningKey,
    new_signing_key,
    read_signing_keys,
    signing_key,
)


class UserService:
    """Answers its key set, or is away."""

    def __init__(self, tokens: AccessTokens) -> None:
        self.tokens = tokens
        self.away = False
        self.asked = 0

    async def key_set(self) -> bytes:
        """As UserClient does."""
        self.asked += 1
        if self.away:
            raise PeerUnavailable("user_service", "away")
        return self.tokens.key_set.model_dump_json(exclude_none=True).encode()


class Stopwatch:
    """Monotonic time that stands still unless told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def make_tokens(*keys: SigningKey, ttl_s: int = 3_600) -> AccessTokens:
    """Signed by the first of `keys`."""
    return AccessTokens(keys or (new_signing_key(),), clock=SystemClock(), ttl_s=ttl_s)


def p256() -> SigningKey:
    """A key for ES256."""
    return signing_key(ec.generate_private_key(ec.SECP256R1()))


@pytest.mark.parametrize("key", [new_signing_key(), p256()], ids=["EdDSA", "ES256"])
async def test_token_tells_who_and_what(key: SigningKey) -> None:
    tokens = make_tokens(key)
    user_id = uuid7()
    principal = await AccessTokenVerifier(UserService(tokens).key_set).verify(
        tokens.issue(user_id, Role.ADMIN)
    )
    assert (principal.owner, principal.user_id, principal.role) == (user_id, user_id, Role.ADMIN)
    assert principal.scopes == frozenset(Scope)
    assert principal.kind == "user"
    assert not principal.test


async def test_user_has_no_scope_and_operator_a_few() -> None:
    tokens = make_tokens()
    verifier = AccessTokenVerifier(UserService(tokens).key_set)
    assert (await verifier.verify(tokens.issue(uuid7(), Role.USER))).scopes == frozenset()
    assert (await verifier.verify(tokens.issue(uuid7(), Role.OPERATOR))).scopes == {
        Scope.NOTIFICATIONS_READ,
        Scope.FAILED_READ,
        Scope.FAILED_WRITE,
    }


async def test_token_of_another_key_with_our_key_id_is_refused() -> None:
    ours, theirs = make_tokens(), new_signing_key()
    forged = jwt.encode(
        jwt.decode(ours.issue(uuid7(), Role.ADMIN), options={"verify_signature": False}),
        theirs.private,
        algorithm="EdDSA",
        headers={"kid": ours.key_set.keys[0].kid, "typ": "at+jwt"},
    )
    with pytest.raises(InvalidCredentials):
        await AccessTokenVerifier(UserService(ours).key_set).verify(forged)


async def test_public_key_used_as_a_shared_secret_is_refused() -> None:
    """The classic confusion of algorithms: HS256 with what everybody can read."""
    ours = make_tokens()
    public = ours.key_set.keys[0]
    claims = jwt.decode(ours.issue(uuid7(), Role.ADMIN), options={"verify_signature": False})
    headers = {"kid": public.kid, "typ": "at+jwt"}
    verifier = AccessTokenVerifier(UserService(ours).key_set)
    for forged in (
        jwt.encode(claims, public.x.ljust(32, "x"), algorithm="HS256", headers=headers),
        jwt.encode(claims, "", algorithm="none", headers=headers),
    ):
        with pytest.raises(InvalidCredentials):
            await verifier.verify(forged)


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": timedelta(minutes=-1)},
        {"iat": timedelta(minutes=5)},
        {"aud": "somebody else"},
        {"iss": "somebody else"},
        {"sub": "not an id"},
        {"role": "emperor"},
        {"scopes": None},
        {"exp": None},
        {"jti": None},
    ],
)
async def test_wrong_claim_is_refused(wrong: dict[str, object]) -> None:
    key = new_signing_key()
    tokens = make_tokens(key)
    claims = jwt.decode(tokens.issue(uuid7(), Role.USER), options={"verify_signature": False})
    # A time span is from now: the parameters are made when tests are collected, minutes ago perhaps.
    put = {n: datetime.now(UTC) + v if isinstance(v, timedelta) else v for n, v in wrong.items()}
    claims = {name: value for name, value in {**claims, **put}.items() if value is not None}
    token = jwt.encode(
        claims, key.private, algorithm="EdDSA", headers={"kid": key.public.kid, "typ": "at+jwt"}
    )
    with pytest.raises(InvalidCredentials):
        await AccessTokenVerifier(UserService(tokens).key_set).verify(token)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.é.é", "." * 100, "x" * 10_000])
async def test_what_is_no_token_is_refused_without_asking_anybody(token: str) -> None:
    service = UserService(make_tokens())
    with pytest.raises(InvalidCredentials):
        await AccessTokenVerifier(service.key_set).verify(token)
    assert service.asked == 0


async def test_known_keys_hold_while_the_user_service_is_away() -> None:
    tokens = make_tokens()
    service = UserService(tokens)
    watch = Stopwatch()
    verifier = AccessTokenVerifier(service.key_set, monotonic_s=watch)
    token = tokens.issue(uuid7(), Role.USER)
    await verifier.verify(token)
    service.away = True
    watch.now += 86_400
    await verifier.verify(token)
    await verifier.close()


async def test_without_keys_it_is_said_that_nothing_can_be_checked() -> None:
    tokens = make_tokens()
    service = UserService(tokens)
    service.away = True
    watch = Stopwatch()
    verifier = AccessTokenVerifier(service.key_set, monotonic_s=watch)
    token = tokens.issue(uuid7(), Role.USER)
    for _ in range(3):
        with pytest.raises(PeerUnavailable):
            await verifier.verify(token)
    assert service.asked == 1
    service.away = False
    watch.now += 1
    await verifier.verify(token)


async def test_those_who_wait_behind_a_question_without_an_answer_do_not_ask_it_again() -> None:
    service = UserService(make_tokens())
    watch = Stopwatch()

    async def silent() -> bytes:
        watch.now += 3
        await asyncio.sleep(0)
        return await service.key_set()

    service.away = True
    verifier = AccessTokenVerifier(silent, monotonic_s=watch)
    token = service.tokens.issue(uuid7(), Role.USER)
    ended = await asyncio.gather(*(verifier.verify(token) for _ in range(50)), return_exceptions=True)
    assert {type(each) for each in ended} == {PeerUnavailable}
    assert service.asked == 1


async def test_new_key_is_fetched_and_made_up_ones_do_not_flood_the_user_service() -> None:
    old, new = new_signing_key(), new_signing_key()
    service = UserService(make_tokens(old))
    watch = Stopwatch()
    verifier = AccessTokenVerifier(service.key_set, monotonic_s=watch)
    await verifier.verify(service.tokens.issue(uuid7(), Role.USER))
    service.tokens = make_tokens(new, old)
    token = service.tokens.issue(uuid7(), Role.USER)
    for _ in range(50):
        with pytest.raises(InvalidCredentials):
            await verifier.verify(token)
    assert service.asked == 1
    watch.now += 10
    await verifier.verify(token)
    assert service.asked == 2


async def test_withdrawn_key_stops_to_count() -> None:
    old, new = new_signing_key(), new_signing_key()
    service = UserService(make_tokens(old))
    watch = Stopwatch()
    verifier = AccessTokenVerifier(service.key_set, monotonic_s=watch)
    token = service.tokens.issue(uuid7(), Role.USER)
    await verifier.verify(token)
    service.tokens = make_tokens(new)
    watch.now += 301
    await verifier.verify(token)  # has the keys looked at again, in the background
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(InvalidCredentials):
        await verifier.verify(token)
    assert service.asked == 2


def test_key_file_may_hold_an_old_key_behind_the_new_one(tmp_path: Path) -> None:
    new, old = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
    file = tmp_path / "keys.pem"
    file.write_bytes(_pem(new) + _pem(old))
    keys = read_signing_keys(file)
    assert [key.public.alg for key in keys] == ["EdDSA", "ES256"]
    assert len({key.public.kid for key in keys}) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        None,
    ],
)
def test_useless_key_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UnusableSigningKey, match=r"keys\.pem"):
        read_signing_keys(file)


def test_rsa_and_other_curves_are_no_signing_keys() -> None:
    for private in (
        rsa.generate_private_key(public_exponent=65_537, key_size=2_048),
        ec.generate_private_key(ec.SECP384R1()),
    ):
        with pytest.raises(UnusableSigningKey):
            signing_key(private)


def test_key_id_is_the_thumbprint_of_the_standard() -> None:
    """RFC 8037, appendix A.3."""
    private = ed25519.Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    assert signing_key(private).public.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def _pem(private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
