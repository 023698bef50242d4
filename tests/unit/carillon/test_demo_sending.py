"""Waiting for the end of what was accepted."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from carillon.api import Api
from carillon.api_answers import Answer
from carillon.demo.sending import Patience, wait_until_ended
from shared.process.identifiers import uuid7

SINCE = datetime(2027, 3, 1, 12, 30, 15, 999, tzinfo=UTC)
IDS = [uuid7() for _ in range(3)]
IMPATIENT = Patience(look_every_s=0.001, calm_s=0.002, stalled_s=0.05)


class Listing(Api):
    """Answers with the lists it is given, one after another and the last again and again, two to a page."""

    def __init__(self, *lists: dict[UUID, str]) -> None:
        super().__init__("http://127.0.0.1:9", "ck_live_x")
        self.queries: list[dict[str, str]] = []
        self._lists = list(lists)

    async def get(self, path: str, query: object = None) -> Answer:
        """A page."""
        asked = msgspec.convert(query, dict[str, str])
        self.queries.append(dict(asked))
        start = int(asked.get("cursor", 0))
        items = list(self._lists[0].items())
        if start + 2 >= len(items) and len(self._lists) > 1:
            del self._lists[0]
        page = {
            "items": [
                {"id": id_, "status": status, "error": None} for id_, status in items[start : start + 2]
            ],
            "next_cursor": str(start + 2) if start + 2 < len(items) else None,
        }
        return Answer(status=200, body=msgspec.json.encode(page), took_s=0.0)


class Arriving:
    """Counts up."""

    def __init__(self, counts: Sequence[int]) -> None:
        self._counts = list(counts)

    async def count(self) -> int:
        """The next one; the last again and again."""
        return self._counts.pop(0) if len(self._counts) > 1 else self._counts[0]


async def wait(api: Listing, counts: Sequence[int], shown: list[int]) -> dict[UUID, str]:
    statuses = await wait_until_ended(
        api,
        set(IDS),
        since=SINCE,
        arrivals=Arriving(counts),
        show=shown.append,
        patience=IMPATIENT,
    )
    await api.close()
    return {id_: status.status for id_, status in statuses.items()}


async def test_it_waits_for_the_last_status_and_shows_what_has_arrived() -> None:
    shown: list[int] = []
    sent = dict.fromkeys(IDS, "sent")
    api = Listing({**sent, IDS[2]: "sending"}, {uuid7(): "queued", **sent})
    assert await wait(api, [0, 1, 3], shown) == sent
    assert (shown[0], shown[-1]) == (0, 3)
    assert shown == sorted(shown)
    assert api.queries[0] == {"limit": "200", "created_after": "2027-03-01T12:30:15Z"}


async def test_what_ends_without_arriving_is_waited_for_no_longer() -> None:
    ended = dict(zip(IDS, ("sent", "failed", "suppressed"), strict=True))
    assert await wait(Listing(ended), [0, 1], []) == ended


async def test_it_gives_up_where_nothing_changes_any_more() -> None:
    stuck = dict(zip(IDS, ("sent", "sent", "deferred"), strict=True))
    assert await wait(Listing(stuck), [0, 2], []) == stuck


async def test_what_others_send_meanwhile_ends_nothing_too_early() -> None:
    sent = dict.fromkeys(IDS, "sent")
    assert await wait(Listing(dict.fromkeys(IDS, "queued"), sent), [500], []) == sent
