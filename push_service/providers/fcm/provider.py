"""The FCM provider: one call, one device, one outcome."""

import asyncio
import time
from collections.abc import Callable
from urllib.parse import quote

import httpx

from push_service.providers.fcm.credentials import Access, AccessTokens, NoAccessToken, ServiceAccount
from push_service.providers.fcm.exchange import Progress, Stage
from push_service.providers.fcm.message import request_body
from push_service.providers.fcm.verdict import (
    deadline_passed,
    judge_answer,
    judge_broken,
    judge_timeout,
    refused_credentials,
)
from shared.contracts.channels import PushContent
from shared.contracts.delivery import Problem
from shared.delivery.outcomes import Outcome, Retryable
from shared.delivery.provider import ProviderCall
from shared.delivery.recourse import NO_RECOURSE
from shared.process.clock import Clock

_CHECK_TIMEOUT_S = 1.5
_KEPT_IDLE_S = 30.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class FcmProvider:
    """Hands notifications to Firebase Cloud Messaging. See `shared.delivery.provider.Provider`.

    Without a usable service account it answers `provider.misconfigured`, and says so when checked.
    """

    name = "fcm"
    recourse = NO_RECOURSE

    def __init__(
        self,
        read_account: Callable[[], ServiceAccount],
        *,
        url: str,
        clock: Clock,
        connections: int = 32,
        timeout_s: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=_KEPT_IDLE_S
        )
        # A stand-in on this machine is never behind the proxy that Google is behind.
        behind_proxy = httpx.URL(url).host not in _LOOPBACK
        self._client = httpx.AsyncClient(
            limits=limits, timeout=httpx.Timeout(timeout_s), follow_redirects=False, trust_env=behind_proxy
        )
        self._tokens = AccessTokens(read_account, client=self._client, clock=clock)
        self._url = url.rstrip("/")
        self._clock = clock
        self._timeout_s = timeout_s
        self._monotonic = monotonic

    @property
    def timeout_s(self) -> float:
        """The longest time `send` may take, in seconds."""
        return self._timeout_s

    async def send(self, call: ProviderCall[PushContent]) -> Outcome:
        """Send one notification to one device within `timeout_s` and the call's deadline."""
        left_s = min(self._timeout_s, call.deadline - self._monotonic())
        if left_s <= 0:
            return deadline_passed()
        progress = Progress()
        try:
            async with asyncio.timeout(left_s):
                return await self._deliver(call, progress)
        except TimeoutError:
            return judge_timeout(progress)
        except NoAccessToken as error:
            kind = "provider.misconfigured" if error.misconfigured else "provider.unavailable"
            return Retryable(problem=Problem(kind=kind, message=f"No access to FCM: {error}."))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return judge_broken(error, progress)

    async def check(self) -> None:
        """Raises ConnectionError where no access token is to be had. While one is good, nothing is asked."""
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                await self._tokens.current()
        except TimeoutError as error:
            raise ConnectionError("No access to FCM: the token endpoint does not answer in time.") from error
        except NoAccessToken as error:
            raise ConnectionError(f"No access to FCM: {error}.") from error

    async def close(self) -> None:
        """Close the kept connections."""
        await self._client.aclose()

    async def _deliver(self, call: ProviderCall[PushContent], progress: Progress) -> Outcome:
        body = request_body(call)
        access = await self._tokens.current()
        response = await self._post(body, access, progress)
        if refused_credentials(response.status_code, response.content):
            # Perhaps revoked before its time; a second refusal is the operator's to put right.
            self._tokens.discard(access)
            progress.stage = Stage.TOKEN
            access = await self._tokens.current()
            if self._monotonic() >= call.deadline:
                return deadline_passed()
            response = await self._post(body, access, progress)
            if refused_credentials(response.status_code, response.content):
                self._tokens.discard(access)
        return judge_answer(
            response.status_code,
            response.content,
            retry_after=response.headers.get("Retry-After"),
            now=self._clock.now(),
            private=(call.target.address, access.token),
        )

    async def _post(self, body: bytes, access: Access, progress: Progress) -> httpx.Response:
        progress.stage = Stage.WAITING
        return await self._client.post(
            f"{self._url}/v1/projects/{quote(access.project_id, safe='')}/messages:send",
            content=body,
            headers={"Authorization": f"Bearer {access.token}", "Content-Type": "application/json"},
            extensions={"trace": progress.trace},
        )
