"""The public routes of failures over real HTTP, with what the test has put there."""

import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import uvicorn
from fastapi import FastAPI, Form, Query, Request, Response
from fastapi.responses import JSONResponse
from typer.testing import CliRunner, Result

from carillon.main import app
from shared.contracts.http.auth import RefreshRequest, TokenAnswer
from shared.contracts.http.base import Page, PageQuery, decode_cursor, encode_cursor
from shared.contracts.http.failures import (
    AuditEntry,
    CauseSummary,
    FailureDetail,
    FailureFilter,
    FailureItem,
    FailureQuery,
    FailureStatus,
    FailureSummary,
    OperatorAct,
)
from shared.contracts.http.reprocessing import (
    BulkDiscarded,
    BulkDiscardRequest,
    BulkReprocessRequest,
    DiscardRequest,
    DryRun,
    ReprocessJob,
    ReprocessRequest,
)
from shared.process.identifiers import uuid7
from tests.fakes.failures import NOW, a_job

_SHARED = CauseSummary.model_fields.keys() & FailureItem.model_fields.keys()
LOGIN = ("ann@example.com", "correct:horse")
DISCARDED_AT_ONCE = 3


@dataclass
class FakeFailed:
    """`steps`: how the job stands at each look, the last for ever. `problems`: by method and path, what is
    answered instead, one after another. `asked`: everything, in order."""

    failures: list[FailureDetail] = field(default_factory=list)
    steps: list[ReprocessJob] = field(default_factory=lambda: [a_job()])
    found: DryRun | None = None
    problems: defaultdict[str, list[Response]] = field(default_factory=lambda: defaultdict(list))
    asked: list[tuple[str, Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=lambda: {"ck_live_x"})
    logins: int = 0
    url: str = ""

    def forget(self) -> None:
        """As new, at the same address."""
        self.__init__(url=self.url)  # type: ignore[misc]

    def bodies(self, what: str) -> list[Any]:
        """What was sent to a route, such as `POST /failed/reprocess`."""
        return [body for name, body in self.asked if name == what]

    def open_ones(self, chosen: FailureFilter) -> list[FailureDetail]:
        """Newest first."""
        fitting = [each for each in self.failures if each.status is FailureStatus.OPEN and fits(each, chosen)]
        return sorted(fitting, key=lambda each: each.id, reverse=True)

    def replace(self, id_: UUID, **changes: object) -> FailureDetail:
        """Change one; KeyError where there is none."""
        place = {each.id: index for index, each in enumerate(self.failures)}[id_]
        self.failures[place] = self.failures[place].model_copy(update=changes)
        return self.failures[place]


def fits(failure: FailureDetail, chosen: FailureFilter) -> bool:
    """Whether every field that is given applies."""
    given = {name: getattr(chosen, name) for name in FailureFilter.model_fields}
    since, until = given.pop("since"), given.pop("until")
    same = all(value is None or getattr(failure, name) == value for name, value in given.items())
    return same and (since or failure.created_at) <= failure.created_at < (
        until or datetime.max.replace(tzinfo=UTC)
    )


def problem(status: int, detail: str, *, kind: str = "x", **headers: str) -> Response:
    """As RFC 9457."""
    body = {"type": f"urn:carillon:problem:{kind}", "title": kind, "status": status, "detail": detail}
    return JSONResponse(body, status, {"X-Correlation-ID": "corr-1", **headers}, "application/problem+json")


def create_fake(state: FakeFailed) -> FastAPI:
    """The routes."""
    fake = FastAPI()
    api = "/api/v1"

    @fake.middleware("http")
    async def overhear(request: Request, proceed: Any) -> Response:
        path = request.url.path.removeprefix(api)
        what = f"{request.method} {path}"
        body = await request.body()
        is_json = request.headers.get("content-type") == "application/json"
        state.asked.append((what, await request.json() if body and is_json else dict(request.query_params)))
        if state.problems[what]:
            return state.problems[what].pop(0)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not path.startswith("/auth") and token not in {*state.tokens[-1:], *state.keys}:
            return problem(401, "No valid credentials were given.")
        answered: Response = await proceed(request)
        return answered

    def a_token() -> TokenAnswer:
        state.tokens.append(f"token-{len(state.tokens)}")
        return TokenAnswer(
            access_token=state.tokens[-1], expires_in=1, refresh_token=f"rt-{state.tokens[-1]}"
        )

    @fake.post(f"{api}/auth/token", response_model=None)
    async def log_in(
        username: Annotated[str, Form()], password: Annotated[str, Form()]
    ) -> TokenAnswer | Response:
        state.logins += 1
        return a_token() if (username, password) == LOGIN else problem(401, "This is not the password.")

    @fake.post(f"{api}/auth/refresh")
    async def refresh(_: RefreshRequest) -> TokenAnswer:
        return a_token()

    @fake.post(f"{api}/auth/logout", status_code=204)
    async def log_out(_: RefreshRequest) -> None:
        state.tokens.clear()

    @fake.get(f"{api}/failed/summary")
    async def summary(chosen: Annotated[FailureFilter, Query()]) -> FailureSummary:
        of = state.open_ones(chosen)
        causes = {each.cause: [other for other in of if other.cause == each.cause] for each in of}
        rows = [
            CauseSummary(
                **each[0].model_dump(include=_SHARED),
                count=len(each), first_seen=each[-1].created_at, last_seen=each[0].created_at,
                example_id=each[0].id,
            )
            for each in causes.values()
        ]  # fmt: skip
        return FailureSummary(total=len(of), causes=tuple(rows))

    @fake.get(f"{api}/failed/audit")
    async def audit(_: Annotated[PageQuery, Query()]) -> Page[AuditEntry]:
        act = AuditEntry(
            id=uuid7(), at=NOW, by="account x", act=OperatorAct.DISCARDED, failure_id=uuid7(),
            notification_id=None, job_id=None, detail="The order was cancelled.",
        )  # fmt: skip
        return Page(items=(act,), next_cursor=None)

    @fake.get(f"{api}/failed/jobs")
    async def jobs(_: Annotated[PageQuery, Query()]) -> Page[ReprocessJob]:
        return Page(items=(state.steps[-1],), next_cursor=None)

    @fake.get(f"{api}/failed/jobs/{{id_}}")
    async def job(id_: UUID) -> ReprocessJob:
        step = state.steps.pop(0) if len(state.steps) > 1 else state.steps[0]
        return step.model_copy(update={"id": id_})

    @fake.post(f"{api}/failed/jobs/{{id_}}/{{act}}")
    async def tell(id_: UUID, act: str) -> ReprocessJob:
        return a_job(id=id_, status={"pause": "paused", "resume": "running", "cancel": "cancelled"}[act])

    @fake.get(f"{api}/failed")
    async def listing(query: Annotated[FailureQuery, Query()]) -> Page[FailureItem]:
        of = sorted(state.failures, key=lambda each: each.id, reverse=True)
        of = [each for each in of if each.status is query.status and fits(each, query)]
        if query.cursor is not None:
            of = [each for each in of if each.id < decode_cursor(query.cursor)]
        page = [
            FailureItem.model_validate(each.model_dump(include=set(FailureItem.model_fields))) for each in of
        ]
        cut = page[: query.limit]
        return Page(items=tuple(cut), next_cursor=encode_cursor(cut[-1].id) if len(cut) < len(page) else None)

    @fake.post(f"{api}/failed/reprocess", response_model=None)
    async def many(request: BulkReprocessRequest) -> Response:
        of = len(state.open_ones(request.filter))
        if request.dry_run:
            answer = state.found or DryRun(
                matching=of, examined=of, unreadable=0, expired=0, busy=0, opted_out=0, would_send=of,
                likely_duplicates=0,
            )  # fmt: skip
            return Response(answer.model_dump_json(), media_type="application/json")
        body = a_job(status="running", phase="first_batch", released=0, sent=0, total=of).model_dump_json()
        return Response(body, 202, media_type="application/json")

    @fake.post(f"{api}/failed/discard")
    async def discard_many(request: BulkDiscardRequest) -> BulkDiscarded:
        of = state.open_ones(request.filter)
        for each in of[:DISCARDED_AT_ONCE]:
            state.replace(each.id, status=FailureStatus.DISCARDED)
        return BulkDiscarded(discarded=len(of[:DISCARDED_AT_ONCE]), remaining=len(of[DISCARDED_AT_ONCE:]))

    @fake.get(f"{api}/failed/{{id_}}", response_model=None)
    async def one(id_: UUID) -> FailureDetail | Response:
        found = [each for each in state.failures if each.id == id_]
        return found[0] if found else problem(404, "There is no such failure.")

    @fake.post(f"{api}/failed/{{id_}}/reprocess")
    async def again(id_: UUID, _: ReprocessRequest) -> FailureDetail:
        return state.replace(id_, status=FailureStatus.REPROCESSED)

    @fake.post(f"{api}/failed/{{id_}}/discard")
    async def discard(id_: UUID, _: DiscardRequest) -> FailureDetail:
        return state.replace(id_, status=FailureStatus.DISCARDED)

    return fake


@contextmanager
def serving(state: FakeFailed) -> Iterator[FakeFailed]:
    """On the loopback interface, at `state.url`."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        state.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(create_fake(state), log_config=None, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            yield state
        finally:
            server.should_exit = True
            thread.join()


def failed(*arguments: object, **environment: str) -> Result:
    """`carillon failed …` as it is run in a pipe."""
    result = CliRunner().invoke(app, ["failed", *map(str, arguments)], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result
