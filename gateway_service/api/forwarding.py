"""Handing a checked request on to the service behind the gateway, and its answer back."""

from collections.abc import Mapping

import msgspec
import structlog
from fastapi import Response
from pydantic import BaseModel

from shared.clients.peer import TOTAL_TIMEOUT_S, Peer, PeerAnswer, PeerRefused, PeerUnavailable
from shared.web.problems import TYPE_PREFIX, ApiProblem, FieldError, unavailable

log = structlog.get_logger()

HASHING_TIMEOUT_S = 10.0
"""For what hashes a password: it waits for its turn in the user service, a quarter second each."""
INVALID_CREDENTIALS = "invalid_credentials"
"""The kind of the one 401 that is meant for the client and not for us."""


class _Problem(msgspec.Struct):
    type: str = ""
    title: str = ""
    detail: str = ""
    errors: tuple[FieldError, ...] = ()


class _Created(msgspec.Struct):
    id: str


async def forward(
    peer: Peer,
    method: str,
    path: str,
    *,
    body: BaseModel | None = None,
    query: Mapping[str, str | int] | None = None,
    location: str | None = None,
    timeout_s: float = TOTAL_TIMEOUT_S,
    again: bool | None = None,
) -> Response:
    """The peer's answer as it came. What `body` was not given is not sent either. `location`: where the id
    of what was created is appended for the header Location. `again`: see Peer.call. Raises the peer's
    problem as ours, and 503 where it does not answer."""
    content = None if body is None else body.model_dump_json(exclude_unset=True).encode()
    try:
        answer = await peer.call(method, path, content=content, query=query, timeout_s=timeout_s, again=again)
    except PeerRefused as refused:
        raise _as_ours(refused) from refused
    except PeerUnavailable as error:
        log.warning("peer.unavailable", peer=peer.service, reason=str(error))
        raise unavailable("A service behind the gateway does not answer just now. Ask again.") from error
    headers = {}
    if location is not None and answer.status == 201:
        headers["Location"] = f"{location}/{msgspec.json.decode(answer.content, type=_Created).id}"
    return Response(
        answer.content, status_code=answer.status, media_type=answer.content_type or None, headers=headers
    )


def _as_ours(refused: PeerRefused) -> ApiProblem:
    answer: PeerAnswer = refused.answer
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem()
    kind = problem.type.removeprefix(TYPE_PREFIX)
    if (answer.status == 401 and kind != INVALID_CREDENTIALS) or not kind:
        # It is the gateway that was refused, with its service token or its idea of the route.
        log.error("peer.refused", peer=refused.service, status=answer.status, kind=kind)
        return unavailable("A service behind the gateway cannot be used just now. Ask again.")
    return ApiProblem(
        status=answer.status, kind=kind, title=problem.title, detail=problem.detail, errors=problem.errors
    )
