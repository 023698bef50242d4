"""Request bodies: bounded in size and time, of the right type, and JSON that nothing behind can stumble over.

The body is read here, whole, before routing. What is JSON is decoded once with msgspec, which is stricter
than `json.loads`: no NaN, no Infinity, no lone surrogates, no UTF-16, and nesting that runs out of stack is
an error of the sender, not of ours. Of a key that is given twice the last value counts.
"""

import asyncio
from collections.abc import Collection
from typing import TypeVar

import msgspec
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.web.problems import ApiProblem, FieldError, problem_response

MAX_BODY_BYTES = 2 * 1024 * 1024
READ_TIMEOUT_S = 15.0
MAX_JSON_DEPTH = 100
MAX_MEMBERS = 1_000
"""Of one object: each that is unknown costs an error, of some 30 µs."""
MAX_VALUES = 100_000
"""In a body, all levels together: a hundred for each entry of a batch."""
_LARGE_BYTES = 64 * 1024
_MOST_DISCARDED_BYTES = 16 * MAX_BODY_BYTES
_FORM_TYPE = "application/x-www-form-urlencoded"
_CLOSE = {"Connection": "close"}
_SCOPE_KEY = "carillon.decoded_body"
BodyT = TypeVar("BodyT")


def decoded_body(request: Request) -> object:
    """The JSON body as plain objects, decoded already; for routes that validate by themselves. Raises
    RequestValidationError where there is none."""
    try:
        return request.scope[_SCOPE_KEY]
    except KeyError:
        missing = {"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}
        raise RequestValidationError([missing]) from None


def validated_body(request: Request, form: TypeAdapter[BodyT]) -> BodyT:
    """The JSON body in its form. Raises RequestValidationError, as FastAPI does for a declared body."""
    decoded = decoded_body(request)
    try:
        return form.validate_python(decoded, from_attributes=True)
    except ValidationError as error:
        raise RequestValidationError(
            [
                {**item, "loc": ("body", *item["loc"])}
                for item in error.errors(include_url=False, include_input=False)
            ]
        ) from None


class BodyMiddleware:
    """Answers 408, 413, 415 and 400 itself. `form_paths` take a form in place of JSON:
    whole paths, and everything below one that ends with a slash."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int = MAX_BODY_BYTES,
        read_timeout_s: float = READ_TIMEOUT_S,
        form_paths: Collection[str] = (),
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._read_timeout_s = read_timeout_s
        self._form_paths = frozenset(form_paths)
        self._form_folders = tuple(path for path in form_paths if path.endswith("/"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or not _announces_body(scope):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
            if body is None:
                return  # the client is gone
            if body:
                self._check(scope, body)
            if len(body) > _LARGE_BYTES:
                # Decoding took its time, and the route will take some: others come in between.
                await asyncio.sleep(0)
        except ApiProblem as problem:
            await problem_response(problem, path=scope["path"])(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        declared = int(_header(scope, b"content-length") or 0)
        if declared > _MOST_DISCARDED_BYTES or (declared > self._max_bytes and _header(scope, b"expect")):
            raise self._too_large(_CLOSE)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._read_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    size += len(message.get("body", b""))
                    # What is too much is read on for a while and dropped: many clients look for an answer
                    # only once they have sent everything.
                    if size > _MOST_DISCARDED_BYTES:
                        raise self._too_large(_CLOSE)
                    if size <= self._max_bytes:
                        chunks.append(message.get("body", b""))
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise ApiProblem(
                status=408,
                detail=f"The body was not complete within {self._read_timeout_s:g} s.",
                headers=_CLOSE,
            ) from None
        if size > self._max_bytes:
            raise self._too_large()
        return b"".join(chunks)

    def _check(self, scope: Scope, body: bytes) -> None:
        is_form = scope["path"] in self._form_paths or scope["path"].startswith(self._form_folders)
        wanted = _FORM_TYPE if is_form else "application/json"
        types = set(_headers(scope, b"content-type"))
        media_type, _, parameters = (types.pop() if len(types) == 1 else "").partition(";")
        if media_type.strip().lower() != wanted or not _is_utf8(parameters):
            raise ApiProblem(status=415, detail=f"Send the body as {wanted}.", headers={"Accept": wanted})
        if {coding.strip().lower() for coding in _headers(scope, b"content-encoding")} - {"", "identity"}:
            raise ApiProblem(
                status=415,
                detail="Send the body without a Content-Encoding.",
                headers={"Accept-Encoding": "identity"},
            )
        if not is_form:
            scope[_SCOPE_KEY] = decode_json(body)

    def _too_large(self, headers: dict[str, str] | None = None) -> ApiProblem:
        return ApiProblem(
            status=413, detail=f"The body may have {self._max_bytes} bytes at most.", headers=headers
        )


def decode_json(body: bytes) -> object:
    """Plain objects. Raises ApiProblem: 400 (`malformed_json`), and 422 where there is so much in it that
    checking it would hold up everybody else."""
    try:
        decoded: object = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise _malformed(str(error).removeprefix("JSON is malformed: ")) from error
    except UnicodeDecodeError as error:
        raise _malformed("the text is not UTF-8") from error
    except RecursionError:
        raise _malformed(f"nested deeper than {MAX_JSON_DEPTH} levels") from None
    # Looked at only where there are enough brackets or commas for it.
    if body.count(b"[") + body.count(b"{") > MAX_JSON_DEPTH or body.count(b",") >= MAX_MEMBERS:
        _check_shape(decoded)
    return decoded


def _check_shape(decoded: object) -> None:
    """Level by level, without recursion."""
    level = [decoded] if isinstance(decoded, dict | list) else []
    values = 0
    depth = 0
    while level:
        depth += 1
        if depth > MAX_JSON_DEPTH:
            raise _malformed(f"nested deeper than {MAX_JSON_DEPTH} levels")
        below: list[dict[str, object] | list[object]] = []
        for container in level:
            values += len(container)
            if isinstance(container, dict) and len(container) > MAX_MEMBERS:
                raise _too_much(f"An object may have {MAX_MEMBERS} members at most")
            if values > MAX_VALUES:
                raise _too_much(f"A body may hold {MAX_VALUES} values at most")
            children = container.values() if isinstance(container, dict) else container
            below += [child for child in children if isinstance(child, dict | list)]
        level = below


def _too_much(reason: str) -> ApiProblem:
    return ApiProblem(status=422, detail=f"{reason}.", errors=[FieldError("body", reason)])


def _malformed(reason: str) -> ApiProblem:
    return ApiProblem(
        status=400, kind="malformed_json", title="The body is not JSON", detail=f"Not valid JSON: {reason}."
    )


def _announces_body(scope: Scope) -> bool:
    """RFC 9112 6.3: a request has a body where it says so."""
    length = _header(scope, b"content-length")
    return (length is not None and length != "0") or _header(scope, b"transfer-encoding") is not None


def _header(scope: Scope, wanted: bytes) -> str | None:
    return next(iter(_headers(scope, wanted)), None)


def _headers(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


def _is_utf8(parameters: str) -> bool:
    name, _, charset = parameters.strip().partition("=")
    return name.strip().lower() != "charset" or charset.strip().strip('"').lower() in ("utf-8", "utf8")


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay
