"""Passwords: every character counts, nobody's password is nobody's, and the queue is short."""

import asyncio
import time

import pytest

from user_service.domain.passwords import AT_ONCE, MAX_WAITING, Passwords, TooManyLogins
from user_service.domain.secrets import digest, new_secret


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    """At the lowest cost."""
    return Passwords(rounds=4)


async def test_right_password_matches_and_a_wrong_one_does_not(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    assert await passwords.match("correct horse", stored)
    assert not await passwords.match("correct hors", stored)
    assert "correct" not in stored


async def test_no_character_is_cut_off(passwords: Passwords) -> None:
    stored = await passwords.hash("x" * 200 + "a")
    assert not await passwords.match("x" * 200 + "b", stored)


@pytest.mark.parametrize("password", ["nobody", "", "anything"])
async def test_unknown_person_matches_nothing(passwords: Passwords, password: str) -> None:
    assert not await passwords.match(password, None)


async def test_same_password_has_another_hash(passwords: Passwords) -> None:
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_crowd_is_told_to_come_back() -> None:
    passwords = Passwords(rounds=8)
    crowd = await asyncio.gather(
        *(passwords.hash("correct horse") for _ in range(MAX_WAITING + 10)), return_exceptions=True
    )
    turned_away = [each for each in crowd if isinstance(each, TooManyLogins)]
    assert len(turned_away) == 10
    assert AT_ONCE < MAX_WAITING
    assert await passwords.hash("correct horse")


async def test_unknown_person_takes_as_long_as_a_wrong_password() -> None:
    passwords = Passwords(rounds=9)
    stored = await passwords.hash("correct horse")

    async def cpu_s(known: str | None) -> float:
        started = time.process_time()
        await passwords.match("wrong", known)
        return time.process_time() - started

    # In turns, and by what this process has computed: others on the machine have no part in it.
    pairs = [(await cpu_s(None), await cpu_s(stored)) for _ in range(5)]
    unknown_s, wrong_s = (min(times) for times in zip(*pairs, strict=True))
    # A comparison that is cut short takes a thousandth, so a quarter is far from both.
    assert unknown_s > wrong_s / 4


def test_secret_is_kept_as_its_digest_alone() -> None:
    secret = new_secret("ck_live")
    assert secret.text.startswith("ck_live_")
    assert len(secret.text) == len("ck_live_") + 43
    assert secret.digest == digest(secret.text)
    assert secret.text.endswith(secret.hint)
    assert new_secret("ck_live").text != secret.text
