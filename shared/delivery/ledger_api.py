"""What the gateway asks of a channel's ledger and tells it: `/internal/v1/ledger`."""

from typing import TypeVar

import msgspec
from fastapi import APIRouter, Request, Response

from shared.contracts.channels import Channel
from shared.contracts.delivery import LedgerAnswer, LedgerPurge, LedgerPurged, LedgerQuestion, ReportReceipts
from shared.database.engine import Database
from shared.delivery.ledger import Ledger
from shared.delivery.ledger_purge import purge
from shared.web.problems import unprocessable

StructT = TypeVar("StructT", bound=msgspec.Struct)

MOST_KEYS = 500
MOST_RECEIPTS = 1000


def ledger_router(ledger: Ledger, database: Database, *, channel: Channel) -> APIRouter:
    """The routes; who may call them is the app's affair."""
    router = APIRouter(prefix="/internal/v1/ledger", tags=["ledger"])

    @router.post("/lookup")
    async def lookup(request: Request) -> Response:
        """The newest report of every target of the runs asked for."""
        question = await _body(request, LedgerQuestion)
        if len(question.keys) > MOST_KEYS:
            raise unprocessable("keys", f"at most {MOST_KEYS}")
        rows = await ledger.lookup(question.keys)
        answer = LedgerAnswer(reports=tuple(row.report(channel) for row in rows))
        return Response(msgspec.json.encode(answer), media_type="application/json")

    @router.post("/receipts", status_code=204)
    async def receipts(request: Request) -> None:
        """The gateway has these reports in its database."""
        body = await _body(request, ReportReceipts)
        if len(body.receipts) > MOST_RECEIPTS:
            raise unprocessable("receipts", f"at most {MOST_RECEIPTS}")
        await ledger.receive(body.receipts)

    @router.post("/purge")
    async def purge_old(request: Request) -> Response:
        """A batch of rows that the gateway has no use for any more."""
        body = await _body(request, LedgerPurge)
        async with database.connection() as connection:
            rows = await purge(connection, before=body.before)
        return Response(msgspec.json.encode(LedgerPurged(rows=rows)), media_type="application/json")

    return router


async def _body(request: Request, kind: type[StructT]) -> StructT:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.DecodeError as error:
        raise unprocessable("body", str(error)) from error
