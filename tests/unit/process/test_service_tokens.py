"""The promises of the tokens between services."""

import jwt
import pytest

from shared.process.service_tokens import LIFETIME_S, InvalidServiceToken, ServiceTokens

SECRET = "a secret that is long enough for HS256"


class Time:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.now


def tokens(
    service: str = "gateway_service", *, secret: str = SECRET, time: Time | None = None
) -> ServiceTokens:
    """As a service has them."""
    return ServiceTokens(secret, service, time_s=time or Time())


def test_a_token_names_the_caller_to_its_audience_alone() -> None:
    token = tokens().issue("user_service")
    assert tokens("user_service").verify(token, audience="user_service") == "gateway_service"
    with pytest.raises(InvalidServiceToken):
        tokens("template_service").verify(token, audience="template_service")


def test_a_token_ends_after_a_minute() -> None:
    time = Time()
    token = tokens(time=time).issue("user_service")
    time.now += LIFETIME_S - 1
    tokens(time=time).verify(token, audience="user_service")
    time.now += 10
    with pytest.raises(InvalidServiceToken):
        tokens(time=time).verify(token, audience="user_service")


def test_a_token_is_reused_while_it_is_good_for_half_a_minute_more() -> None:
    time = Time()
    issuer = tokens(time=time)
    first = issuer.issue("user_service")
    time.now += 29
    assert issuer.issue("user_service") == first
    assert issuer.issue("template_service") != first
    time.now += 2
    assert issuer.issue("user_service") != first


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "user_service", "exp": 2_000_000},
        {"iss": "x", "exp": 2_000_000},
        {"iss": "x", "aud": "user_service"},
        {"iss": "x", "aud": "user_service", "exp": "never"},
    ],
)
def test_a_token_without_its_claims_is_refused(claims: dict[str, object]) -> None:
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    with pytest.raises(InvalidServiceToken):
        tokens().verify(token, audience="user_service")


def test_other_keys_and_algorithms_are_refused() -> None:
    claims = {"iss": "x", "aud": "user_service", "exp": 2_000_000}
    forged = [
        jwt.encode(claims, SECRET + "!", algorithm="HS256"),
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(claims, SECRET * 2, algorithm="HS512"),
        "",
        "a.b.c",
    ]
    for token in forged:
        with pytest.raises(InvalidServiceToken):
            tokens().verify(token, audience="user_service")
