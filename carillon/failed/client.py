"""The routes of failures: bodies as the contract has them, and lists page by page."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import msgspec
from pydantic import BaseModel, ValidationError

from carillon.api import Api
from carillon.api_answers import Answer, Refused
from carillon.failed.options import as_body, as_query
from carillon.failed.screen import Screen
from shared.contracts.http.failures import FailureFilter, FailureItem, FailureSummary
from shared.contracts.http.reprocessing import BulkReprocessRequest, DryRun, JobFilter, ReprocessJob

MOST_ON_A_PAGE = 200
DOUBT = "It may have been done, or not: `carillon failed audit` tells."
_CLOCK_TICK = timedelta(milliseconds=1)
ModelT = TypeVar("ModelT", bound=BaseModel)


class _Page(msgspec.Struct, frozen=True):
    items: tuple[msgspec.Raw, ...]
    next_cursor: str | None


def formatted(answer: Answer, *, indent: int = 2) -> str:
    """The body as it came, whatever a newer gateway has put into it; in one line with an indent of -1.

    Raises Refused, where it is no JSON, too.
    """
    answer.require()
    try:
        return msgspec.json.format(answer.body, indent=indent).decode()
    except ValueError as error:  # msgspec's own, and that of UTF-8
        raise Refused(answer.status, "the answer is no JSON") from error


def json_list(items: Sequence[bytes]) -> str:
    """Several of a list in one document, as they came."""
    return msgspec.json.format(b"[" + b",".join(items) + b"]", indent=2).decode()


async def act(api: Api, screen: Screen, path: str, body: BaseModel | None = None) -> Answer:
    """Do something, once. Raises Refused, and InDoubt where nobody knows whether it was done."""
    try:
        answer = await api.act(path, None if body is None else as_body(body))
    except asyncio.CancelledError:
        screen.say(DOUBT)
        raise
    answer.require()
    return answer


def read(model: type[ModelT], answer: Answer) -> ModelT:
    """The body. A field that a newer gateway has besides is passed over. Raises Refused."""
    answer.require()
    return read_item(model, answer.body)


def read_item(model: type[ModelT], body: bytes) -> ModelT:
    """One of a list. Raises Refused where it is none of these."""
    try:
        return model.model_validate_json(body, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refused(200, f"the answer is not as documented: {place} {first['msg']}") from error


async def pages(
    api: Api, path: str, query: Mapping[str, str], *, page_size: int = MOST_ON_A_PAGE
) -> AsyncIterator[list[bytes]]:
    """All of a list, newest first. Each that was in it all the while comes once, whatever is added or taken
    away meanwhile. Raises Refused."""
    asked = {**query, "limit": str(page_size)}
    while True:
        page = (await api.get(path, asked)).as_(_Page)
        yield [bytes(item) for item in page.items]
        if page.next_cursor is None:
            return
        asked["cursor"] = page.next_cursor


async def newest(api: Api, path: str, query: Mapping[str, str], *, most: int) -> list[bytes]:
    """At most so many. Raises Refused."""
    found: list[bytes] = []
    async for page in pages(api, path, query, page_size=min(most, MOST_ON_A_PAGE)):
        found += page
        if len(found) >= most:
            break
    return found[:most]


async def summary(api: Api, chosen: FailureFilter) -> FailureSummary:
    """Of those that are open. Raises Refused."""
    return read(FailureSummary, await api.get("/failed/summary", as_query(chosen)))


async def as_it_stands(api: Api, chosen: JobFilter) -> JobFilter:
    """The same, but nothing that fails from now on: what a person confirms is what is done, and no more.

    By the time of the newest there is, and so by the server's clock. Raises Refused.
    """
    found = await newest(api, "/failed", as_query(chosen), most=1)
    if not found:
        return chosen
    end = read_item(FailureItem, found[0]).created_at + _CLOCK_TICK
    return chosen.model_copy(update={"until": end if chosen.until is None else min(end, chosen.until)})


async def dry_run(api: Api, request: BulkReprocessRequest) -> Answer:
    """A DryRun. Raises Refused."""
    asked = as_body(request.model_copy(update={"dry_run": True}))
    answer = await api.post("/failed/reprocess", asked)  # changes nothing, and so may be asked again
    answer.require()
    return answer


def would_send_nothing(found: DryRun, limit: int | None) -> bool:
    """Whether all that is meant was looked at, and none of it can be sent."""
    meant = found.matching if limit is None else min(found.matching, limit)
    return found.would_send == 0 and found.examined >= meant


async def job(api: Api, id_: UUID) -> Answer:
    """A ReprocessJob. Raises Refused."""
    answer = await api.get(f"/failed/jobs/{id_}")
    answer.require()
    return answer


def read_job(answer: Answer) -> ReprocessJob:
    """Raises Refused."""
    return read(ReprocessJob, answer)
