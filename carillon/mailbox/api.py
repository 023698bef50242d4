"""The JSON of the mailbox, in Mailpit's shapes, and the parts of a mail for a browser."""

import asyncio
from typing import Annotated

import msgspec
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import PlainTextResponse

from carillon.mailbox import shapes
from carillon.mailbox.search import matches
from carillon.mailbox.store import Mail, MailStore

# A mail may show pictures and its own styles; it runs nothing, and is no part of this site.
_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "style-src 'unsafe-inline'; img-src data: http: https:; font-src data: https:"
)
Start = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=0, le=10_000)]


class _Deletion(msgspec.Struct):
    ids: list[str] = msgspec.field(name="IDs", default_factory=list)


def mail_routes(store: MailStore) -> APIRouter:
    """Routes over `store`. Mails are taken apart in a thread, so that SMTP goes on meanwhile."""
    router = APIRouter()

    def wanted(mail_id: str) -> Mail:
        mail = store.get(mail_id)
        if mail is None:
            raise HTTPException(404, "there is no such message")
        return mail

    @router.get("/api/v1/messages")
    async def list_messages(start: Start = 0, limit: Limit = 50) -> Response:
        """Newest first."""
        mails = store.newest_first()
        unread = store.unread

        def build() -> shapes.MessageList:
            return shapes.page_of(
                store,
                mails[start : start + limit],
                start=start,
                matching=len(mails),
                matching_unread=unread,
            )

        return _json(await asyncio.to_thread(build))

    @router.get("/api/v1/search")
    async def search(query: str, start: Start = 0, limit: Limit = 50) -> Response:
        """Newest first, those that match."""
        mails = store.newest_first()

        def build() -> shapes.MessageList:
            found = [mail for mail in mails if matches(mail, query)]
            return shapes.page_of(
                store,
                found[start : start + limit],
                start=start,
                matching=len(found),
                matching_unread=sum(not mail.read for mail in found),
            )

        return _json(await asyncio.to_thread(build))

    @router.delete("/api/v1/messages")
    async def delete_messages(request: Request) -> Response:
        """These (`{"IDs": […]}`), or all where none are named."""
        try:
            deletion = msgspec.json.decode(await request.body() or b"{}", type=_Deletion)
        except msgspec.MsgspecError as error:
            raise HTTPException(400, 'the body is not {"IDs": ["…"]}') from error
        if deletion.ids:
            store.remove(deletion.ids)
        else:
            store.clear()
        return PlainTextResponse("ok")

    @router.get("/api/v1/message/{mail_id}")
    async def show_message(mail_id: str) -> Response:
        """One mail with its content; `latest` for the newest. It counts as read from now on."""
        mail = wanted(mail_id)
        content = await asyncio.to_thread(shapes.whole, mail)
        mail.read = True
        return _json(content)

    @router.get("/api/v1/message/{mail_id}/headers")
    async def show_headers(mail_id: str) -> Response:
        """Every header, decoded."""
        return _json(shapes.header_lists(wanted(mail_id)))

    @router.get("/api/v1/message/{mail_id}/raw")
    async def show_raw(mail_id: str) -> Response:
        """The mail as it came, byte for byte."""
        return Response(wanted(mail_id).raw, media_type="text/plain; charset=utf-8")

    @router.get("/view/{mail_id}.html")
    async def view_html(mail_id: str) -> Response:
        """The HTML part, to be shown in a frame."""
        return Response(
            wanted(mail_id).parsed.html,
            media_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": _MAIL_POLICY},
        )

    @router.get("/view/{mail_id}.txt")
    async def view_text(mail_id: str) -> Response:
        """The text part."""
        return PlainTextResponse(wanted(mail_id).parsed.text)

    return router


def _json(value: shapes.MessageList | shapes.Message | dict[str, list[str]]) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
