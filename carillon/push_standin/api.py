"""`projects.messages.send`, and JSON about what came."""

import secrets
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse

from carillon.push_standin.errors import UNAUTHENTICATED, FcmFailure, Refused, failure_for, invalid_argument
from carillon.push_standin.message_rules import check_request
from carillon.push_standin.oauth import AccessTokens


class Received(msgspec.Struct, frozen=True):
    """One call: what was asked, and what was answered (`error` is FCM's code; null where it was taken)."""

    id: str
    received_at: datetime
    token: str
    title: str
    body: str
    data: dict[str, str]
    message: msgspec.Raw
    http_status: int
    error: str | None


class ReceivedList(msgspec.Struct, frozen=True):
    """A page, newest first."""

    total: int
    count: int
    start: int
    messages: list[Received]


class _Notification(msgspec.Struct):
    title: str = ""
    body: str = ""


class _Message(msgspec.Struct):
    token: str = ""
    topic: str = ""
    condition: str = ""
    notification: _Notification = msgspec.field(default_factory=_Notification)
    data: dict[str, str] = msgspec.field(default_factory=dict)


class _Request(msgspec.Struct):
    message: msgspec.Raw
    validate_only: bool = msgspec.field(name="validateOnly", default=False)


class PushStandin:
    """Takes messages for one project and keeps the last `capacity`."""

    def __init__(self, *, project: str, capacity: int, now: Callable[[], datetime]) -> None:
        self._project = project
        self._now = now
        self.received: deque[Received] = deque(maxlen=capacity)

    def send(self, project: str, body: bytes) -> str:
        """The name of the new message. Raises Refused."""
        try:
            check_request(msgspec.json.decode(body))
            request = msgspec.json.decode(body, type=_Request)
        except (msgspec.MsgspecError, RecursionError) as error:
            malformed = invalid_argument(f"Invalid JSON payload received. {error}")
            raise Refused(malformed) from error
        failure = self._failure(project, request)
        if not request.validate_only:
            self._keep(request, failure)
        if failure is not None:
            raise Refused(failure)
        return f"projects/{project}/messages/0:{secrets.token_hex(12)}"

    def _failure(self, project: str, request: _Request) -> FcmFailure | None:
        if project != self._project:
            return FcmFailure(http_status=403, status="PERMISSION_DENIED", message="Permission denied.")
        return failure_for(msgspec.json.decode(request.message, type=_Message).token)

    def _keep(self, request: _Request, failure: FcmFailure | None) -> None:
        message = msgspec.json.decode(request.message, type=_Message)
        self.received.appendleft(
            Received(
                id=secrets.token_hex(11),
                received_at=self._now(),
                token=message.token or message.topic or message.condition,
                title=message.notification.title,
                body=message.notification.body,
                data=message.data,
                message=request.message,
                http_status=200 if failure is None else failure.http_status,
                error=None if failure is None else failure.error_code or failure.status,
            )
        )


def standin_routes(standin: PushStandin, tokens: AccessTokens) -> APIRouter:
    """The routes over `standin`."""
    router = APIRouter()

    @router.post("/v1/projects/{project}/messages:send")
    async def send(project: str, request: Request) -> Response:
        """https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send"""
        if not tokens.good(request.headers.get("authorization", "")):
            return UNAUTHENTICATED.response()
        try:
            name = standin.send(project, await request.body())
        except Refused as refusal:
            return refusal.failure.response()
        return Response(msgspec.json.encode({"name": name}), media_type="application/json")

    @router.get("/api/v1/messages")
    async def list_messages(
        start: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=0, le=10_000)] = 50
    ) -> Response:
        """What came, newest first, the refused ones too."""
        messages = [
            standin.received[index] for index in range(start, min(start + limit, len(standin.received)))
        ]
        page = ReceivedList(total=len(standin.received), count=len(messages), start=start, messages=messages)
        return Response(msgspec.json.encode(page), media_type="application/json")

    @router.delete("/api/v1/messages")
    async def delete_messages() -> PlainTextResponse:
        """Forget all."""
        standin.received.clear()
        return PlainTextResponse("ok")

    return router
