"""Google's token endpoint and FCM's HTTP v1 API over real HTTP, with faults to order."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes.http import Answer, FakeHttpServer, Request, Response

PROJECT = "carillon-test"
CLIENT = "carillon@carillon-test.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@cache
def _private_key() -> rsa.RSAPrivateKey:
    """One for the test run: making one takes a good part of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True, kw_only=True)
class ReceivedMessage:
    """A message as it was sent, parsed, and the bearer it came with."""

    body: dict[str, object]
    bearer: str


def error_answer(
    status: int,
    status_name: str,
    *,
    code: str | None = None,
    message: str = "refused",
    field: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """An error in the shape of google.rpc.Status, as FCM sends it."""
    details: list[dict[str, object]] = []
    if code:
        details.append({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code})
    if field:
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": field, "description": message}],
            }
        )
    error = {"code": status, "message": message, "status": status_name, "details": details}
    return Response(status=status, body=json.dumps({"error": error}).encode(), headers=headers or {})


class FakeFcm:
    """`async with FakeFcm() as fcm:` answers at `fcm.url`; `fcm.write_account(folder)` makes a key for it.

    A message counts as taken when it was read with a good bearer and no error was ordered for it.
    """

    def __init__(self) -> None:
        self.messages: list[ReceivedMessage] = []
        self.tokens_given = 0
        self.lifetime_s = 3599
        self._good_bearers: set[str] = set()
        self._faults: dict[str, deque[Answer]] = {"token": deque(), "send": deque()}
        self._standing: dict[str, Answer] = {}
        self._personal: dict[str, Answer] = {}
        self._taken, self._in_turn = asyncio.Event(), asyncio.Lock()
        self._key = _private_key()
        self._server = FakeHttpServer(self._answer)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._server.url

    @property
    def connections(self) -> int:
        """How many were made so far."""
        return self._server.connections

    def write_account(self, folder: Path) -> Path:
        """A service-account key file as the Firebase console gives it out."""
        path = folder / "account.json"
        path.write_text(
            json.dumps(
                {
                    "type": "service_account",
                    "project_id": PROJECT,
                    "private_key_id": "key-1",
                    "private_key": self._key.private_bytes(
                        serialization.Encoding.PEM,
                        serialization.PrivateFormat.PKCS8,
                        serialization.NoEncryption(),
                    ).decode(),
                    "client_email": CLIENT,
                    "token_uri": f"{self.url}/token",
                }
            )
        )
        return path

    def order(self, place: str, *answers: Answer) -> None:
        """Each answer once, in turn, at `token` or `send`."""
        self._faults[place].extend(answers)

    def order_always(self, place: str, answer: Answer) -> None:
        """The answer every time."""
        self._standing[place] = answer

    def order_for(self, token: str, answer: Answer) -> None:
        """The answer every time for this device. A 5xx comes only after another device's message was taken
        since the last: a server in trouble with some while it serves the others, which no circuit breaker
        takes for an outage."""
        self._personal[token] = answer

    def mend(self, token: str) -> None:
        """Nothing is ordered for this device any more."""
        self._personal.pop(token, None)

    def revoke_tokens(self) -> None:
        """Make every bearer given out worthless."""
        self._good_bearers.clear()

    async def drop_connections(self) -> None:
        """Close every connection that stands."""
        await self._server.drop_connections()

    async def _answer(self, request: Request) -> Answer:
        if request.path == "/token":
            return self._ordered("token") or self._token(request)
        if request.path != f"/v1/projects/{PROJECT}/messages:send":
            return error_answer(404, "NOT_FOUND", message="Requested entity was not found.")
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if bearer not in self._good_bearers:
            return error_answer(401, "UNAUTHENTICATED", message="Invalid authentication credentials.")
        body = json.loads(request.body)
        fault = self._ordered("send") or await self._trouble_of(body["message"].get("token", ""))
        if not isinstance(fault, Response) or fault.status == 200:
            self.messages.append(ReceivedMessage(body=body, bearer=bearer))
            self._taken.set()
        name = {"name": f"projects/{PROJECT}/messages/{len(self.messages)}"}
        return fault or Response(status=200, body=json.dumps(name).encode())

    async def _trouble_of(self, token: str) -> Answer | None:
        trouble = self._personal.get(token)
        if isinstance(trouble, Response) and trouble.status >= 500:
            async with self._in_turn:
                await self._taken.wait()
                self._taken.clear()
        return trouble

    def _token(self, request: Request) -> Response:
        form = parse_qs(request.body.decode())
        try:
            assert form["grant_type"] == [GRANT]
            claims = jwt.decode(
                form["assertion"][0],
                self._key.public_key(),
                algorithms=["RS256"],
                audience=f"{self.url}/token",
                issuer=CLIENT,
                options={"verify_exp": False, "verify_iat": False, "require": ["iss", "aud", "exp", "iat"]},
            )
            assert claims["scope"] == SCOPE
            assert claims["exp"] - claims["iat"] <= 3600
        except (AssertionError, KeyError, jwt.InvalidTokenError):
            return Response(status=400, body=b'{"error": "invalid_grant"}')
        self.tokens_given += 1
        bearer = f"bearer-{self.tokens_given}"
        self._good_bearers.add(bearer)
        body = {"access_token": bearer, "expires_in": self.lifetime_s, "token_type": "Bearer"}
        return Response(status=200, body=json.dumps(body).encode())

    def _ordered(self, place: str) -> Answer | None:
        faults = self._faults[place]
        return faults.popleft() if faults else self._standing.get(place)
