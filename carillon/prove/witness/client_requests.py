"""What the client asks for, in an order that the seed settles."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from carillon.prove.witness.client_plan import ClientPlan
from carillon.prove.witness.http_connection import HttpAnswer, post_bytes
from carillon.prove.witness.journal import Answered, Intent
from carillon.prove.witness.marks import Marks

_SINGLE = "/api/v1/notifications"
_BATCH = "/api/v1/notifications/batch"


@dataclass(frozen=True, slots=True)
class Wish:
    """One notification."""

    mark: str
    channel: str
    category: str
    to: str


@dataclass(frozen=True, slots=True)
class Request:
    """One POST with its key, the same in each of its asks."""

    key: str
    wishes: Sequence[Wish]
    is_batch: bool
    sent: bytes

    def intents(self) -> list[Intent]:
        """One for each notification, as of now."""
        return [
            Intent(mark=wish.mark, key=self.key, channel=wish.channel, category=wish.category, to=wish.to)
            for wish in self.wishes
        ]


class Requests:
    """One after another; the same plan gives the same ones."""

    def __init__(self, plan: ClientPlan, *, recipients: Sequence[str] = ()) -> None:
        self._plan = plan
        self._recipients = recipients
        self._random = random.Random(f"requests {plan.marks_prefix} {plan.seed}")
        self._marks = Marks(plan.marks_prefix, seed=plan.seed, poison_share=plan.poison_share)
        self._channels, self._channel_shares = [*plan.channels], [*plan.channels.values()]
        self._categories, self._category_shares = [*plan.categories], [*plan.categories.values()]

    def next(self, *, most: int | None) -> Request:
        """Of the plan's size, and of `most` notifications at most."""
        plan = self._plan
        size = plan.batch if most is None else min(plan.batch, most)
        wishes = [self._wish() for _ in range(size)]
        bodies = [self._body(wish) for wish in wishes]
        is_batch = plan.batch > 1
        key = f"proof-{wishes[0].mark}"
        sent = post_bytes(
            host=f"{plan.host}:{plan.port}",
            path=_BATCH if is_batch else _SINGLE,
            authorization=plan.authorization,
            key=key,
            body=msgspec.json.encode({"notifications": bodies} if is_batch else bodies[0]),
        )
        return Request(key=key, wishes=wishes, is_batch=is_batch, sent=sent)

    def _wish(self) -> Wish:
        (channel,) = self._random.choices(self._channels, self._channel_shares)
        (category,) = self._random.choices(self._categories, self._category_shares)
        mark = self._marks.next()
        to = "" if self._recipients else _recipient(channel, mark)
        return Wish(mark=mark, channel=channel, category=category, to=to)

    def _body(self, wish: Wish) -> dict[str, object]:
        body: dict[str, object] = {
            "notification_type": wish.channel,
            "category": wish.category,
            "metadata": {"mark": wish.mark},
        }
        if self._recipients:
            body["user_id"] = self._random.choice(self._recipients)
        else:
            body["to"] = {wish.channel: wish.to}
        words = f"proof-mark:{wish.mark}"
        code = {str(channel): code for channel, code in self._plan.template.items()}.get(wish.channel)
        if code is None:
            body["content"] = {"subject": "Proof", "body": words}
        else:
            body["template_code"], body["variables"] = code, {"mark": words}
        return body


def _recipient(channel: str, mark: str) -> str:
    return f"{mark}@example.com" if channel == "email" else f"token-{mark}"


class _Problem(msgspec.Struct):
    type: str = ""


class _Result(msgspec.Struct):
    index: int
    id: str | None = None
    error: _Problem | None = None


class _Accepted(msgspec.Struct):
    """Of one, or of a batch."""

    id: str | None = None
    results: list[_Result] = []


_ACCEPTED = msgspec.json.Decoder(_Accepted)
_PROBLEM = msgspec.json.Decoder(_Problem)


def answered(request: Request, answer: HttpAnswer, *, ask: int, ms: float) -> Answered:
    """The record of it. A body that is not what the API promises leaves `ids` or `kind` empty."""
    kind, ids, refused = "", dict[str, str](), dict[str, str]()
    try:
        if answer.status != 202:
            kind = _last_part(_PROBLEM.decode(answer.body).type)
        elif not request.is_batch:
            ids = _single_id(request, _ACCEPTED.decode(answer.body))
        else:
            for result in _ACCEPTED.decode(answer.body).results:
                if not 0 <= result.index < len(request.wishes):
                    continue
                mark = request.wishes[result.index].mark
                if result.id is not None:
                    ids[mark] = result.id
                elif result.error is not None:
                    refused[mark] = _last_part(result.error.type)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    return Answered(
        key=request.key,
        ask=ask,
        status=answer.status,
        ms=ms,
        kind=kind,
        replayed=answer.headers.get(b"idempotency-replayed") == b"true",
        retry_after_s=_seconds(answer.headers.get(b"retry-after")),
        ids=ids,
        refused=refused,
    )


def _single_id(request: Request, accepted: _Accepted) -> dict[str, str]:
    return {} if accepted.id is None else {request.wishes[0].mark: accepted.id}


def _last_part(problem_type: str) -> str:
    return problem_type.rpartition(":")[2]


def _seconds(value: bytes | None) -> float | None:
    """A date, which RFC 9110 allows too, is none."""
    return float(value) if value is not None and value.isdigit() else None
