"""Bodies of the hot routes: msgspec in and out, past FastAPI's own parsing."""

from typing import TypeVar

import msgspec
from fastapi import Request, Response

from shared.web.problems import unprocessable

QuestionT = TypeVar("QuestionT", bound=msgspec.Struct)


async def question(request: Request, kind: type[QuestionT]) -> QuestionT:
    """The body of the request. Raises a 422 problem."""
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.DecodeError as error:
        raise unprocessable("body", str(error)) from error


def answer(struct: msgspec.Struct) -> Response:
    """The struct as JSON."""
    return Response(msgspec.json.encode(struct), media_type="application/json")
