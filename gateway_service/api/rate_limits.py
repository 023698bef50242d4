"""How often somebody may ask, counted in Redis for all gateways together.

Redis never decides whether Carillon works: while it is away everything is allowed. Headers are those of
draft-ietf-httpapi-ratelimit-headers.
"""

import asyncio
import math
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from gateway_service.settings import AccessSettings
from shared.web.problems import rate_limited

log = structlog.get_logger()

_TIMEOUT_S = 0.25
_NAMESPACE = "carillon"


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A limit by name, as in its headers and its keys in Redis."""

    name: str
    limit: RateLimitItem

    @property
    def policy(self) -> str:
        """The header RateLimit-Policy: quota and window in seconds."""
        return f'"{self.name}";q={self.limit.amount};w={self.limit.get_expiry()}'


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What is left after a request; `reset_s` until the window ends. All of it where Redis is away."""

    rate: Rate
    allowed: bool
    remaining: int
    reset_s: int

    @property
    def headers(self) -> dict[str, str]:
        """For the answer."""
        return {
            "RateLimit-Policy": self.rate.policy,
            "RateLimit": f'"{self.rate.name}";r={self.remaining};t={self.reset_s}',
        }

    def require(self) -> None:
        """Raises a 429 problem where nothing was left."""
        if not self.allowed:
            raise rate_limited(
                f"At most {self.rate.limit.amount} requests in {self.rate.limit.get_expiry()} s.",
                retry_after_s=self.reset_s,
                headers=self.headers,
            )


class RateLimits:
    """The limits of the routes that anybody may call, if need be after registering."""

    def __init__(self, settings: AccessSettings) -> None:
        self.register = Rate(name="register", limit=parse(settings.register_rate))
        self.token = Rate(name="token", limit=parse(settings.token_rate))
        self.token_failures = Rate(name="token-failures", limit=parse(settings.token_failure_rate))
        self.own_sending = Rate(name="own-sending", limit=parse(settings.own_sending_rate))
        self._pool = BlockingConnectionPool.from_url(
            settings.redis_url,
            max_connections=10,
            timeout=_TIMEOUT_S,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )
        # limits' own annotation of **options does not foresee a pool, its documentation does.
        storage = RedisStorage(
            settings.redis_url, implementation="redispy", connection_pool=cast(bool, self._pool)
        )
        self._windows = FixedWindowRateLimiter(storage)
        self._redis_is_away = False

    async def spend(self, rate: Rate, *who: str, cost: int = 1) -> Allowance:
        """Count `cost` for `who`."""
        return await self._ask(rate, who, cost=cost)

    async def look(self, rate: Rate, *who: str) -> Allowance:
        """Count nothing."""
        return await self._ask(rate, who, cost=0)

    async def ping(self) -> None:
        """For readiness: raises RedisError where Redis does not answer."""
        await Redis(connection_pool=self._pool).ping()

    async def close(self) -> None:
        """Close connections."""
        await self._pool.disconnect()

    async def _ask(self, rate: Rate, who: tuple[str, ...], *, cost: int) -> Allowance:
        # Hashed: an address has no business in Redis, nor in anybody's listing of its keys.
        key = (_NAMESPACE, rate.name, sha256("\x1f".join(who).encode()).hexdigest())
        try:
            async with asyncio.timeout(2 * _TIMEOUT_S):
                if cost:
                    allowed = await self._windows.hit(rate.limit, *key, cost=cost)
                else:
                    allowed = await self._windows.test(rate.limit, *key)
                window = await self._windows.get_window_stats(rate.limit, *key)
        except (RedisError, OSError) as error:
            if not self._redis_is_away:
                log.warning("rate_limits.off", reason=type(error).__name__)
            self._redis_is_away = True
            return Allowance(
                rate=rate, allowed=True, remaining=rate.limit.amount, reset_s=rate.limit.get_expiry()
            )
        if self._redis_is_away:
            log.info("rate_limits.on")
        self._redis_is_away = False
        reset_s = max(1, math.ceil(window.reset_time - time.time()))
        return Allowance(rate=rate, allowed=allowed, remaining=window.remaining, reset_s=reset_s)
