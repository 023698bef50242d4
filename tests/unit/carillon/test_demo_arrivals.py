"""What arrives is read whole and once, whatever the mailbox does meanwhile: “exactly once” rests on it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from carillon.demo.arrivals import Arrival, Arrivals
from carillon.demo.verdict import Expected, Kind, judge
from carillon.setup_error import SetupError
from shared.process.identifiers import uuid7

SINCE = datetime(2027, 3, 1, 12, tzinfo=UTC)
MAILBOX, PUSH_STANDIN = "http://mailbox.test", "http://push.test"
OURS = "ann@example.com"
JSON = dict[str, object]


def nothing() -> None:
    """Nobody looks at the bar."""


@dataclass
class Place:
    """Mailbox and push stand-in, newest first. `before` is called before each answer with its URL."""

    mails: list[JSON] = field(default_factory=list)
    pushes: list[JSON] = field(default_factory=list)
    before: Callable[[httpx.URL], None] = lambda _url: None
    asked: list[str] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.before(request.url)
        self.asked.append(f"{request.url.host}{request.url.path}")
        if "/message/" in request.url.path:
            return httpx.Response(200, json={"Subject": "Hello", "Text": "You", "HTML": "<p>You</p>"})
        messages = self.mails if request.url.host == "mailbox.test" else self.pushes
        start, limit = int(request.url.params.get("start", 0)), int(request.url.params["limit"])
        page = messages[start : start + limit]
        return httpx.Response(200, json={"total": len(messages), "messages": page})

    def arrivals(self) -> Arrivals:
        """That read from here, and wait for nothing."""
        return Arrivals(
            mailbox=MAILBOX,
            push_standin=PUSH_STANDIN,
            transport=httpx.MockTransport(self.answer),
            pause_s=0,
        )


def mail(name: str, notification_id: UUID | None = None, *, to: str = OURS, seconds: float = 1) -> JSON:
    """`name` is the mailbox's own."""
    return {
        "ID": name,
        "MessageID": f"{notification_id}.1@carillon.localhost" if notification_id else f"{name}@elsewhere",
        "To": [{"Address": to}],
        "Cc": [],
        "Bcc": [],
        "Created": (SINCE + timedelta(seconds=seconds)).isoformat(),
    }


def push(name: str, notification_id: UUID, *, error: str | None = None) -> JSON:
    return {
        "id": name,
        "received_at": (SINCE + timedelta(seconds=1)).isoformat(),
        "token": "token-1",
        "title": "Hello",
        "body": "You",
        "data": {"notification_id": str(notification_id)},
        "error": error,
    }


async def collected(
    place: Place, *notification_ids: UUID, advance: Callable[[], None] = nothing
) -> list[Arrival]:
    arrivals = place.arrivals()
    try:
        return await arrivals.collect(
            since=SINCE, notification_ids=set(notification_ids), addresses={OURS}, advance=advance
        )
    finally:
        await arrivals.close()


def kinds(notification_id: UUID, found: list[Arrival], *, is_mail: bool = True) -> list[Kind]:
    """What the verdict on one letter says of them."""
    expected = Expected(
        id=notification_id,
        label="",
        address=OURS if is_mail else "token-1",
        subject="Hello",
        text="You",
        html="<p>You</p>" if is_mail else None,
        values={},
    )
    return [fault.kind for fault in judge([expected], found, states={notification_id: "sent"})]


async def test_one_mail_and_one_push_message_arrive_once_and_are_no_fault() -> None:
    mailed, pushed = uuid7(), uuid7()
    place = Place(mails=[mail("m", mailed)], pushes=[push("p", pushed)])
    found = await collected(place, mailed, pushed)
    assert {each.notification_id for each in found} == {mailed, pushed}
    assert kinds(mailed, [each for each in found if each.html]) == []
    assert kinds(pushed, [each for each in found if not each.html], is_mail=False) == []


async def test_the_same_message_id_in_two_mails_is_a_fault() -> None:
    ours = uuid7()
    found = await collected(Place(mails=[mail("second", ours), mail("first", ours)]), ours)
    assert len({each.message_id for each in found}) == 1
    assert kinds(ours, found) == [Kind.DUPLICATE]


async def test_the_same_push_message_twice_is_a_fault() -> None:
    ours = uuid7()
    found = await collected(Place(pushes=[push("second", ours), push("first", ours)]), ours)
    assert kinds(ours, found, is_mail=False) == [Kind.DUPLICATE]


async def test_a_push_message_that_was_turned_away_has_not_arrived() -> None:
    ours = uuid7()
    found = await collected(Place(pushes=[push("p", ours), push("refused", ours, error="UNAVAILABLE")]), ours)
    assert kinds(ours, found, is_mail=False) == []


async def test_a_page_that_shifts_while_it_is_read_gives_each_mail_once_and_leaves_none_out() -> None:
    ids = [uuid7() for _ in range(3)]
    # The first page ends, and the second begins, among ours.
    mails = [mail(f"other-{number}", to="else@example.com") for number in range(499)]
    place = Place(mails=[*mails, mail("a", ids[0]), mail("b", ids[1])])

    def shift(url: httpx.URL) -> None:
        if url.params.get("start") == "500" and len(place.mails) == 501:
            place.mails.insert(0, mail("new", ids[2]))

    place.before = shift
    found = await collected(place, *ids)
    assert sorted(str(each.notification_id) for each in found) == sorted(map(str, ids))


@pytest.mark.parametrize("is_mail", [True, False], ids=["email", "push"])
async def test_a_duplicate_that_comes_during_the_pause_is_seen(is_mail: bool) -> None:
    ours = uuid7()
    place = Place(mails=[mail("first", ours)]) if is_mail else Place(pushes=[push("first", ours)])
    readings = 0

    def late(url: httpx.URL) -> None:
        nonlocal readings
        if url.host == "mailbox.test" and url.path.endswith("/messages"):
            readings += 1
            if readings == 3 and is_mail:  # the first found it, the second nothing new, then is the pause
                place.mails.insert(0, mail("late", ours))
            elif readings == 3:
                place.pushes.insert(0, push("late", ours))

    place.before = late
    assert kinds(ours, await collected(place, ours), is_mail=is_mail) == [Kind.DUPLICATE]


async def test_after_what_came_late_there_is_a_pause_again() -> None:
    ours = uuid7()
    place = Place()
    came = iter(["first", None, "second", None, "third"])

    def one_more(url: httpx.URL) -> None:
        if url.host == "mailbox.test" and url.path.endswith("/messages") and (name := next(came, None)):
            place.mails.insert(0, mail(name, ours))

    place.before = one_more
    assert len(await collected(place, ours)) == 3


async def test_the_last_reading_comes_after_the_pause() -> None:
    place = Place()
    arrivals = Arrivals(
        mailbox=MAILBOX,
        push_standin=PUSH_STANDIN,
        transport=httpx.MockTransport(place.answer),
        pause_s=3600,
    )
    collecting = asyncio.create_task(
        arrivals.collect(since=SINCE, notification_ids=set(), addresses=set(), advance=nothing)
    )
    _, waiting = await asyncio.wait([collecting], timeout=0.05)
    assert waiting
    assert place.asked == ["mailbox.test/api/v1/messages", "push.test/api/v1/messages"]
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    await arrivals.close()


async def test_what_is_of_others_or_came_before_is_left_alone_and_what_is_to_our_people_is_not() -> None:
    ours = uuid7()
    steps: list[None] = []
    place = Place(
        mails=[
            mail("ours", ours, to="wrong@example.com"),
            mail("unasked"),
            mail("other", uuid7(), to="else@example.com"),
            mail("old", ours, seconds=-1),
        ]
    )
    found = await collected(place, ours, advance=lambda: steps.append(None))
    assert {(each.notification_id, each.addresses) for each in found} == {
        (ours, ("wrong@example.com",)),
        (None, (OURS,)),
    }
    assert len(steps) == 2


async def test_only_what_came_after_the_beginning_is_counted() -> None:
    place = Place(mails=[mail("old")], pushes=[push("old", uuid7())])
    arrivals = place.arrivals()
    await arrivals.begin()
    assert await arrivals.count() == 0
    place.mails.insert(0, mail("new"))
    assert await arrivals.count() == 1
    await arrivals.close()


async def test_a_mailbox_that_cannot_be_asked_is_said() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        if request.url.host == "push.test":
            raise httpx.ConnectError("refused")
        return httpx.Response(503)

    arrivals = Arrivals(
        mailbox=MAILBOX, push_standin=PUSH_STANDIN, transport=httpx.MockTransport(refuse), pause_s=0
    )
    with pytest.raises(SetupError, match=r"mailbox\.test.* answers 503|push\.test.* does not answer"):
        await arrivals.begin()
    await arrivals.close()
