"""An account that asks: logged in at first, again when its token is over, and logged out in the end."""

import asyncio

import msgspec

from carillon.api import Api
from carillon.api_answers import Answer, Refused
from carillon.keys import AdminLogin

_LOGGED_OUT_WITHIN_S = 3.0


class _Tokens(msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str


class Account:
    """The bearer of an access token that the gateway behind `door` has given for a login."""

    def __init__(self, door: Api, login: AdminLogin) -> None:
        self._door = door
        self._login = login
        self._tokens: _Tokens | None = None
        self._renewing = asyncio.Lock()

    @property
    def token(self) -> str:
        """Of this login; empty before it."""
        return self._tokens.access_token if self._tokens else ""

    async def log_in(self) -> None:
        """Raises Refused."""
        form = {"username": self._login.email, "password": self._login.password}
        self._take(await self._door.submit("/auth/token", form))

    async def renew(self, used: str) -> bool:
        """By the refresh token; by the password where that is over, too."""
        async with self._renewing:
            if self.token != used:
                return True
            if self._tokens is not None:
                answer = await self._door.post("/auth/refresh", {"refresh_token": self._tokens.refresh_token})
                if answer.is_success:
                    self._take(answer)
                    return True
            await self.log_in()
            return self.token != used

    async def log_out(self) -> None:
        """Raises Refused and TimeoutError: then the tokens run out by themselves."""
        if self._tokens is not None:
            async with asyncio.timeout(_LOGGED_OUT_WITHIN_S):
                await self._door.post("/auth/logout", {"refresh_token": self._tokens.refresh_token})

    def _take(self, answer: Answer) -> None:
        tokens = answer.as_(_Tokens)
        if not tokens.access_token.isascii():
            raise Refused(answer.status, "the access token is none")
        self._tokens = tokens
