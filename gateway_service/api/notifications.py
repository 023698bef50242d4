"""Sending: one notification, or a batch."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import TypeAdapter, ValidationError

from gateway_service.api.access import CurrentPrincipal
from gateway_service.domain.idempotency import claim_for_batch, read_key
from gateway_service.domain.refusals import Invalid, Refused
from gateway_service.domain.sending import Sending
from shared.contracts.channels import Channel
from shared.contracts.http.notification_answers import (
    BatchAccepted,
    NotificationAccepted,
    NotificationStatus,
)
from shared.contracts.http.notifications import BatchRequest, NotificationRequest
from shared.web.openapi import problem_responses
from shared.web.problems import FieldError

router = APIRouter(prefix="/notifications", tags=["notifications"])
_entry = TypeAdapter(NotificationRequest)

REPLAYED = "Idempotency-Replayed"
_ANSWER_HEADERS = {
    REPLAYED: {
        "description": "`true` where the same request with the same key was answered before.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="1 to 255 visible ASCII characters, quoted or bare. The same key with the same body "
        "gives the first answer again, for 48 hours.",
    ),
]


async def _sending(request: Request) -> Sending:
    return cast(Sending, request.app.state.sending)


CurrentSending = Annotated[Sending, Depends(_sending)]


@router.post(
    "",
    status_code=202,
    summary="Send a notification",
    responses={
        202: {
            "description": "Stored: it will be sent, or visibly fail.",
            "headers": {
                **_ANSWER_HEADERS,
                "Location": {"description": "Where its status is.", "schema": {"type": "string"}},
            },
        },
        **problem_responses(403, 409, 422, 503),
    },
)
async def send(
    *,
    body: NotificationRequest,
    principal: CurrentPrincipal,
    sending: CurrentSending,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> NotificationAccepted:
    """To a recipient, by id, by the sender's own id or by address; by template or word for word.

    403: only an API key with `notifications:send` may send to others than oneself. 409: a request with
    the same idempotency key is still in progress. 503: nobody knows whether it was stored; ask again
    with the same idempotency key.
    """
    key = read_key(idempotency_key, field=body.idempotency_key)
    answer = await sending.one(body, principal, key=key)
    first = answer.first
    response.headers["Location"] = f"/api/v1/notifications/{first.id}"
    if answer.replayed:
        response.headers[REPLAYED] = "true"
    return NotificationAccepted(
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


@router.post(
    "/batch",
    status_code=202,
    summary="Send up to 1,000 notifications",
    response_model=BatchAccepted,
    responses={
        202: {"description": "What became of each entry.", "headers": _ANSWER_HEADERS},
        **problem_responses(403, 409, 422, 503),
    },
)
async def send_batch(
    body: BatchRequest,
    principal: CurrentPrincipal,
    sending: CurrentSending,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Each entry as in POST /notifications, with its own `idempotency_key` if it likes; one that is refused
    is named in `results` and does not sink the others. The header covers the whole batch: the same
    results are given again."""
    key = read_key(idempotency_key, field=None)
    entries: list[object] = list(body.notifications)
    answer = await sending.many(
        [_read_entry(entry) for entry in entries], principal, claim=claim_for_batch(key, entries)
    )
    headers = {REPLAYED: "true"} if answer.replayed else {}
    return Response(answer.body, status_code=202, media_type="application/json", headers=headers)


def _read_entry(entry: object) -> NotificationRequest | Refused:
    try:
        return _entry.validate_python(entry)
    except ValidationError as error:
        problems = [
            FieldError(
                ".".join(str(part) for part in item["loc"]) or "entry",
                item["msg"].removeprefix("Value error, "),
            )
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        detail = "; ".join(f"{problem.field}: {problem.message}" for problem in problems[:3])
        return Invalid(detail, errors=problems)
