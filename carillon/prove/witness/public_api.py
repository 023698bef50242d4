"""Reading notifications back over the public API, patiently: the system may be on its knees just now."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TypeVar

import httpx
import msgspec

from carillon.prove.witness.accounts import Shown

PAGE = 200
_TIMEOUT_S = 20.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_PATH = "/api/v1/notifications"


class PatienceIsOver(Exception):
    """The API has not answered until the end of all patience."""


class ApiRefuses(Exception):
    """The API answers what no patience helps against, such as 401."""


class _Metadata(msgspec.Struct):
    mark: object = None


class _Item(msgspec.Struct):
    id: str
    status: str
    possible_duplicate: bool
    created_at: datetime
    metadata: _Metadata


class _Page(msgspec.Struct):
    items: list[_Item]
    next_cursor: str | None


_ITEM = msgspec.json.Decoder(_Item)
_PAGE = msgspec.json.Decoder(_Page)


class PublicApi:
    """With one caller's credentials; sees what that caller may see.

    No answer, 429 and any 5xx are asked again. Raises PatienceIsOver from `until` on (`time.monotonic()`'s
    clock); ApiRefuses after other refusals, and after answers that the API does not promise.
    """

    def __init__(self, client: httpx.AsyncClient, *, until: float) -> None:
        self._client = client
        self._until = until

    async def newest_first(
        self, *, created_after: datetime | None, created_before: datetime | None = None
    ) -> AsyncIterator[list[Shown]]:
        """Page by page, of those created at or after the one time and before the other."""
        query: dict[str, str | int] = {"limit": PAGE}
        if created_after is not None:
            query["created_after"] = created_after.isoformat()
        if created_before is not None:
            query["created_before"] = created_before.isoformat()
        while True:
            answer = await self._get(_PATH, query)
            page = _decoded(_PAGE, answer)
            yield [_shown(item) for item in page.items]
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor

    async def one(self, notification_id: str) -> Shown | None:
        """None where the API does not know it."""
        answer = await self._get(f"{_PATH}/{notification_id}", {})
        return None if answer.status_code == 404 else _shown(_decoded(_ITEM, answer))

    async def _get(self, path: str, query: dict[str, str | int]) -> httpx.Response:
        """200, or 404."""
        pause_s = _FIRST_PAUSE_S
        problem = "not asked"
        while (left_s := self._until - time.monotonic()) > 0:
            try:
                answer = await self._client.get(path, params=query, timeout=min(_TIMEOUT_S, left_s))
                if answer.status_code in (200, 404):
                    return answer
                problem = f"{answer.status_code}: {answer.text[:200]}"
                if answer.status_code != 429 and answer.status_code < 500:
                    raise ApiRefuses(problem)
            except httpx.TransportError as error:
                problem = repr(error)
            await asyncio.sleep(min(pause_s, max(0.0, self._until - time.monotonic())))
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
        raise PatienceIsOver(f"GET {path}: {problem}")


def api_client(url: str, *, authorization: str) -> httpx.AsyncClient:
    """To be closed by the caller. Proxies and the like in the environment are no matter of ours."""
    return httpx.AsyncClient(base_url=url, headers={"Authorization": authorization}, trust_env=False)


_Decoded = TypeVar("_Decoded")


def _decoded(decoder: msgspec.json.Decoder[_Decoded], answer: httpx.Response) -> _Decoded:
    try:
        return decoder.decode(answer.content)
    except msgspec.DecodeError as error:
        raise ApiRefuses(f"{answer.status_code}, and not what the API promises: {error}") from error


def _shown(item: _Item) -> Shown:
    mark = item.metadata.mark
    return Shown(
        id=item.id,
        mark=mark if isinstance(mark, str) else "",
        status=item.status,
        possible_duplicate=item.possible_duplicate,
        created_at=item.created_at,
    )
