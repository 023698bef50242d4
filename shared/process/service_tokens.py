"""The tokens with which services call each other's `/internal/v1`: short-lived, for one audience."""

import time
from collections.abc import Callable

import jwt
from pydantic import SecretStr

LIFETIME_S = 60
_REUSED_FOR_S = 30
_LEEWAY_S = 5
_ALGORITHM = "HS256"


class InvalidServiceToken(Exception):
    """Not ours, expired, or meant for another service."""


class ServiceTokens:
    """Issues tokens in the name of `service` and checks those of the others."""

    def __init__(
        self, secret: SecretStr | str, service: str, *, time_s: Callable[[], float] = time.time
    ) -> None:
        self._secret = secret if isinstance(secret, str) else secret.get_secret_value()
        self._service = service
        self._time_s = time_s
        self._issued: dict[str, tuple[float, str]] = {}

    def issue(self, audience: str) -> str:
        """A token for the service named `audience`, good for 30 s at least."""
        now = self._time_s()
        made_at, token = self._issued.get(audience, (float("-inf"), ""))
        if not 0 <= now - made_at < _REUSED_FOR_S:
            claims = {"iss": self._service, "aud": audience, "iat": int(now), "exp": int(now) + LIFETIME_S}
            token = jwt.encode(claims, self._secret, algorithm=_ALGORITHM)
            self._issued[audience] = (now, token)
        return token

    def verify(self, token: str, *, audience: str) -> str:
        """The name of the calling service. Raises InvalidServiceToken."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=audience,
                options={
                    "require": ["iss", "aud", "exp"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            caller, expires_at = str(claims["iss"]), float(claims["exp"])
        except (jwt.InvalidTokenError, TypeError, ValueError) as error:
            raise InvalidServiceToken("not a valid service token") from error
        if expires_at + _LEEWAY_S < self._time_s():
            raise InvalidServiceToken("expired")
        return caller
