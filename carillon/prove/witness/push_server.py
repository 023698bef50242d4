"""Firebase Cloud Messaging's HTTP v1 API and Google's token endpoint, well-behaved or not, with a journal.

`python -m carillon.prove.witness.push_server --port PORT --journal FILE --control SOCKET --account FILE`
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from carillon.prove.witness import fcm_answers
from carillon.prove.witness.behaviour import Do
from carillon.prove.witness.connection import Connections
from carillon.prove.witness.http_dialogue import HttpDialogue, Request, Response
from carillon.prove.witness.oauth import AccessTokens, ServiceAccount
from carillon.prove.witness.provider import Place, Provider, arguments, listen_on, place_of, provide, run
from carillon.prove.witness.reception import Message, Reception
from carillon.prove.witness.traces import mark_of_json

_PROJECT = "carillon-prove"
_SEND = "/v1/projects/{}/messages:send"


class _SendRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    message: msgspec.Raw


class _Target(msgspec.Struct, frozen=True):
    token: str = ""
    topic: str = ""
    condition: str = ""


class PushDialogue(HttpDialogue):
    """One connection of a client of FCM."""

    def __init__(
        self, reception: Reception, connections: Connections, *, project: str, tokens: AccessTokens
    ) -> None:
        super().__init__(connections)
        self._reception = reception
        self._project = project
        self._tokens = tokens

    async def respond(self, request: Request) -> Response | None:
        """Token or message."""
        if request.method == "POST" and request.path == "/token":
            return self._tokens.grant(request.body)
        if request.method != "POST" or not request.path.endswith("/messages:send"):
            return fcm_answers.not_found()
        if not self._tokens.good(request.headers.get("authorization", "")):
            return self._declined(fcm_answers.unauthenticated(), did="refuse_credentials")
        if request.path != _SEND.format(self._project):
            return self._declined(fcm_answers.permission_denied(), did="refuse_project")
        try:
            raw = msgspec.json.decode(request.body, type=_SendRequest).message
            target, mark = msgspec.json.decode(raw, type=_Target), mark_of_json(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return self._declined(fcm_answers.not_json(str(error)), did="refuse_message")
        named = [each for each in (target.token, target.topic, target.condition) if each]
        if len(named) != 1:
            return self._declined(fcm_answers.no_target(), did="refuse_message")
        return await self._take(mark, named[0])

    async def _take(self, mark: str, recipient: str) -> Response | None:
        name = f"projects/{self._project}/messages/0:{secrets.token_hex(12)}"
        rule = await self._reception.take(Message(mark=mark, recipients=(recipient,), message_id=name))
        match rule.do:
            case Do.HANG | Do.ACCEPT_SILENT:
                self.hang()
            case Do.RESET | Do.ACCEPT_RESET:
                self.reset()
            case _:
                return fcm_answers.answer(rule, name=name, project=self._project)
        return None

    def _declined(self, response: Response, *, did: str) -> Response:
        self._reception.decline("", did)
        return response


@asynccontextmanager
async def push_server(place: Place, *, account: Path) -> AsyncIterator[Provider]:
    """Takes messages while it is entered, from who holds the key that it writes to `account`. Raises OSError
    where the port is taken."""
    listening = listen_on(place.port)
    service_account = ServiceAccount(project=_PROJECT, url=f"http://127.0.0.1:{listening.getsockname()[1]}")
    service_account.write(account)
    tokens = AccessTokens(service_account)

    def accept(reception: Reception, connections: Connections) -> PushDialogue:
        return PushDialogue(reception, connections, project=_PROJECT, tokens=tokens)

    async with provide(accept, listening=listening, place=place, mail=False) as provider:
        yield provider


if __name__ == "__main__":
    _parser = arguments(__doc__)
    _parser.add_argument("--account", type=Path, required=True, help="where to write the service account")
    _named = _parser.parse_args()
    uvloop.run(run(push_server(place_of(_named), account=_named.account)))
