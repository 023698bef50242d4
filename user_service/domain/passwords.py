"""Passwords: bcrypt over SHA-256, so that no character is cut off, in threads, and never many at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from passlib.hash import bcrypt_sha256

AT_ONCE = 2
MAX_WAITING = 32


class TooManyLogins(Exception):
    """More hashing is asked for than can be done in time; ask again later."""


class Passwords:
    """Hashes and checks; `rounds` is the cost as a power of two, 12 taking about a quarter second of CPU."""

    def __init__(self, *, rounds: int) -> None:
        self._hasher = bcrypt_sha256.using(rounds=rounds)
        self._nobodys = self._hasher.hash("nobody")
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """A new hash, salted. Raises TooManyLogins."""
        async with self._one_of_few():
            return str(await asyncio.to_thread(self._hasher.hash, password))

    async def match(self, password: str, stored: str | None) -> bool:
        """Whether it is the password. For None, an unknown person, a made-up hash is checked, so that the
        time taken does not tell who exists. Raises TooManyLogins."""
        async with self._one_of_few():
            matches = await asyncio.to_thread(self._hasher.verify, password, stored or self._nobodys)
        return bool(matches) and stored is not None

    @asynccontextmanager
    async def _one_of_few(self) -> AsyncIterator[None]:
        if self._waiting >= MAX_WAITING:
            raise TooManyLogins
        self._waiting += 1
        try:
            async with self._turn:
                yield
        finally:
            self._waiting -= 1
