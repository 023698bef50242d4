"""Sending: one notification, or a batch."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from gateway_service.api.access import CurrentAccess, CurrentPrincipal, access_control, principal_of
from gateway_service.domain.idempotency import claim_for_batch, read_key
from gateway_service.domain.refusals import Invalid, Refused, invalid
from gateway_service.domain.sending import Sending
from shared.contracts.channels import Channel
from shared.contracts.http.notification_answers import (
    BatchAccepted,
    NotificationAccepted,
    NotificationStatus,
)
from shared.contracts.http.notifications import BatchRequest, NotificationRequest
from shared.web.body import validated_body
from shared.web.openapi import problem_responses
from shared.web.problems import FieldError

router = APIRouter(prefix="/notifications", tags=["notifications"])
_entry = TypeAdapter(NotificationRequest)

_BREATHE_EVERY = 50
"""Entries of a batch that are read before other requests get their turn."""
_MOST_ERRORS = 20
"""Of one entry."""
REPLAYED = "Idempotency-Replayed"
BATCH_PATH = "/notifications/batch"
_ANSWER_HEADERS = {
    REPLAYED: {
        "description": "`true` where the same request with the same key was answered before.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
_KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="1 to 255 visible ASCII characters, quoted or bare. The same key with the same body "
        "gives the first answer again, for 48 hours.",
    ),
]


async def _key_header(request: Request, idempotency_key: _KeyHeader = None) -> str | None:
    if len(set(request.headers.getlist("Idempotency-Key"))) > 1:
        raise invalid("Idempotency-Key", "Two different keys are given")
    return idempotency_key


IdempotencyKey = Annotated[str | None, Depends(_key_header)]


async def _sending(request: Request) -> Sending:
    return cast(Sending, request.app.state.sending)


CurrentSending = Annotated[Sending, Depends(_sending)]


class _DirectRoute(APIRoute):
    """Described and checked as its endpoint declares, but resolved by hand: in this route, the one that
    counts, FastAPI's resolving of dependencies and writing of answers cost more than all that is ours."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What the route calls."""
        return _send_directly


async def _send_directly(request: Request) -> Response:
    access = await access_control(request)
    principal = await principal_of(request, access)
    key = await _key_header(request, request.headers.get("idempotency-key"))
    return await send(
        body=validated_body(request, _entry),
        principal=principal,
        access=access,
        sending=await _sending(request),
        idempotency_key=key,
    )


async def send(
    *,
    body: NotificationRequest,
    principal: CurrentPrincipal,
    access: CurrentAccess,
    sending: CurrentSending,
    idempotency_key: IdempotencyKey,
) -> Response:
    """To a recipient, by id, by the sender's own id or by address; by template or word for word.

    403: sending to others than oneself, and sending `content` of one's own in place of a template, need
    the scope `notifications:send`. 409: a request with the same idempotency key is still in progress.
    429: without that scope the rate is limited, too. 503: nobody knows whether it was stored; ask again
    with the same idempotency key. 503 of the kind `backlog_full`: too much waits to be sent on the same
    channel and lane; nothing was stored, and `Retry-After` says when to ask again.
    """
    key = read_key(idempotency_key, field=body.idempotency_key)
    limits = await access.spend_on_oneself(principal, count=1)
    answer = await sending.one(body, principal, key=key)
    first = answer.first
    headers = {**limits, "Location": f"/api/v1/notifications/{first.id}"}
    if answer.replayed:
        headers[REPLAYED] = "true"
    # Not validated: it is made of what was, by the request.
    accepted = NotificationAccepted.model_construct(
        id=first.id,
        status=NotificationStatus(first.status),
        user_id=first.user_id,
        notification_type=Channel(first.notification_type),
        template_code=first.template_code,
        priority=first.priority,
        category=first.category,
        metadata=first.metadata,
        scheduled_at=first.scheduled_at,
        created_at=first.created_at,
    )
    return Response(
        accepted.model_dump_json(), status_code=202, media_type="application/json", headers=headers
    )


router.add_api_route(
    "",
    send,
    methods=["POST"],
    route_class_override=_DirectRoute,
    status_code=202,
    summary="Send a notification",
    response_model=NotificationAccepted,
    responses={
        202: {
            "description": "Stored: it will be sent, or visibly fail.",
            "headers": {
                **_ANSWER_HEADERS,
                "Location": {"description": "Where its status is.", "schema": {"type": "string"}},
            },
        },
        **problem_responses(403, 409, 422, 429, 503),
    },
)


@router.post(
    "/batch",
    status_code=202,
    summary="Send up to 1,000 notifications",
    response_model=BatchAccepted,
    responses={
        202: {"description": "What became of each entry.", "headers": _ANSWER_HEADERS},
        **problem_responses(403, 409, 422, 429, 503),
    },
)
async def send_batch(
    body: BatchRequest,
    principal: CurrentPrincipal,
    access: CurrentAccess,
    sending: CurrentSending,
    idempotency_key: IdempotencyKey,
) -> Response:
    """Each entry as in POST /notifications, with its own `idempotency_key` if it likes; one that is refused
    is named in `results` and does not sink the others. The header covers the whole batch: the same
    results are given again. Without the scope `notifications:send` each entry counts towards the rate.
    503 of the kind `backlog_full`: every entry is refused with it; where only some are, `results` says so."""
    key = read_key(idempotency_key, field=None)
    entries: list[object] = list(body.notifications)
    limits = await access.spend_on_oneself(principal, count=len(entries))
    answer = await sending.many(await _read_entries(entries), principal, claim=claim_for_batch(key, entries))
    headers = {**limits, **({REPLAYED: "true"} if answer.replayed else {})}
    return Response(answer.body, status_code=202, media_type="application/json", headers=headers)


async def _read_entries(entries: Sequence[object]) -> list[NotificationRequest | Refused]:
    read: list[NotificationRequest | Refused] = []
    for number, entry in enumerate(entries):
        if number % _BREATHE_EVERY == 0:
            await asyncio.sleep(0)
        read.append(_read_entry(entry))
    return read


def _read_entry(entry: object) -> NotificationRequest | Refused:
    try:
        return _entry.validate_python(entry)
    except ValidationError as error:
        problems = [
            FieldError(
                ".".join(str(part) for part in item["loc"]) or "entry",
                item["msg"].removeprefix("Value error, "),
            )
            for item in error.errors(include_url=False, include_input=False, include_context=False)[
                :_MOST_ERRORS
            ]
        ]
        detail = "; ".join(f"{problem.field}: {problem.message}" for problem in problems[:3])
        return Invalid(detail, errors=problems)
