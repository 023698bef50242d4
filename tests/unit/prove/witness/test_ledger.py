"""How the ledger comes to know what the API says. The API is a list of notifications behind httpx's mock."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from carillon.embedded import ports
from carillon.prove.witness.journal import (
    Answered,
    Asked,
    Effect,
    Ended,
    FaultEnded,
    Intent,
    JournalWriter,
    Record,
    Silent,
)
from carillon.prove.witness.ledger import main, rest, settle_accounts
from carillon.prove.witness.ledger_plan import LedgerPlan
from carillon.prove.witness.public_api import ApiRefuses
from carillon.prove.witness.verdict import Verdict
from tests.unit.prove.witness.handmade import is_clean


class _Clock:
    began = datetime.now(UTC)


def now() -> datetime:
    """When the test began: by then the import may be minutes ago."""
    return _Clock.began


@pytest.fixture(autouse=True)
def _beginning() -> None:
    _Clock.began = datetime.now(UTC)


Item = dict[str, object]


def item(number: int, status: str = "sent", *, mark: str | None = None, flagged: bool = False) -> Item:
    """The n-th was created n milliseconds after the first."""
    return {
        "id": f"n{number}",
        "status": status,
        "possible_duplicate": flagged,
        "created_at": (now() + timedelta(milliseconds=number)).isoformat(),
        "metadata": {"mark": mark if mark is not None else mark_of(number)},
        "error": None,
    }


def mark_of(number: int) -> str:
    return f"killx000001{number}"


@dataclass
class Api:
    """`before` may answer in the place of the API, or change something."""

    items: list[Item] = field(default_factory=list)
    before: Callable[[httpx.Request, int], httpx.Response | None] = lambda _request, _number: None
    requests: list[str] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.path)
        instead = self.before(request, len(self.requests))
        if instead is not None:
            return instead
        name = request.url.path.removeprefix("/api/v1/notifications").removeprefix("/")
        if not name:
            return self._page(request.url.params)
        found = [each for each in self.items if each["id"] == name]
        return httpx.Response(200, json=found[0]) if found else httpx.Response(404, json={})

    def _page(self, params: httpx.QueryParams) -> httpx.Response:
        listed = sorted(self.items, key=lambda each: str(each["created_at"]), reverse=True)
        first, last = params.get("created_after", "0"), params.get("created_before", "9")
        listed = [each for each in listed if first <= str(each["created_at"]) < last]
        start, limit = int(params.get("cursor", "0")), int(params["limit"])
        after = start + limit
        return httpx.Response(
            200,
            json={
                "items": listed[start:after],
                "next_cursor": str(after) if after < len(listed) else None,
            },
        )


class Ledger:
    """Journals in a folder, and the plan that goes with them. Nothing is waited for, unless it is said."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, *records: Record) -> None:
        with JournalWriter(self._folder / name) as journal:
            for record in records:
                journal.write(record)

    def accepted(self, *numbers: int, sent: bool = True) -> None:
        """By the client, and by the provider."""
        for number in numbers:
            mark, key = mark_of(number), f"k{number}"
            self.write(
                "client",
                Intent(mark=mark, key=key, channel="email", category="transactional"),
                Asked(key=key, ask=1),
                Answered(key=key, ask=1, status=202, ms=1, ids={mark: f"n{number}"}),
            )
            if sent:
                self.write("provider", Effect(mark=mark, to="a@example.com", message_id="m"))

    async def verdict(
        self, api: Api, *, stuck_after_s: float = 30, patience_s: float = 30, settle_s: float = 0
    ) -> Verdict:
        self.write("client", Ended())
        self.write("provider")
        self.write("faults")
        plan = LedgerPlan(
            clients=[str(self._folder / "client")],
            providers=[str(self._folder / "provider")],
            faults=[str(self._folder / "faults")],
            url="",
            authorization="",
            verdict="",
            stuck_after_s=stuck_after_s,
            patience_s=patience_s,
            settle_s=settle_s,
            requests_per_s=1000,
        )
        transport = httpx.MockTransport(api.answer)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await settle_accounts(plan, client)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


async def test_what_is_at_its_end_is_read_by_pages_alone(ledger: Ledger) -> None:
    ledger.accepted(*range(450))
    api = Api([item(number) for number in range(450)])
    verdict = await ledger.verdict(api)
    assert (verdict.accepted, verdict.sent, is_clean(verdict)) == (450, 450, True)
    assert api.requests == ["/api/v1/notifications"] * 3


async def test_what_is_open_is_asked_for_by_id_until_it_is_at_its_end(ledger: Ledger) -> None:
    ledger.accepted(*range(450))
    api = Api([item(number) for number in range(450)])
    api.items[7] = item(7, "retrying")

    def after_a_while(_request: httpx.Request, number: int) -> None:
        if number == 6:
            api.items[7] = item(7)

    api.before = after_a_while
    verdict = await ledger.verdict(api)
    assert is_clean(verdict)
    assert api.requests[3:] == ["/api/v1/notifications/n7"] * 3


async def test_where_much_is_open_pages_take_fewer_requests(ledger: Ledger) -> None:
    ledger.accepted(*range(300))
    api = Api([item(number, "queued") for number in range(300)])

    def after_a_while(_request: httpx.Request, number: int) -> None:
        if number == 5:
            api.items = [item(each) for each in range(300)]

    api.before = after_a_while
    verdict = await ledger.verdict(api)
    assert is_clean(verdict)
    assert len(api.requests) < 10


async def test_what_is_not_on_the_pages_is_asked_for_by_id(ledger: Ledger) -> None:
    ledger.accepted(1, 2)
    early: Item = {**item(1), "created_at": (now() - timedelta(days=1)).isoformat()}
    verdict = await ledger.verdict(Api([early]))
    assert (verdict.sent, verdict.lost) == (2, 1)
    assert [each.id for each in verdict.examples["lost"]] == ["n2"]


async def test_however_much_is_not_on_the_pages_all_of_it_is_asked_for(ledger: Ledger) -> None:
    ledger.accepted(*range(250))
    before = (now() - timedelta(days=1)).isoformat()
    api = Api([{**item(number), "created_at": before} for number in range(250)])
    assert is_clean(await ledger.verdict(api))


async def test_what_has_lost_its_mark_is_followed_by_its_id(ledger: Ledger) -> None:
    ledger.accepted(1)
    api = Api([item(1, "queued", mark="")])

    def after_a_while(_request: httpx.Request, number: int) -> None:
        if number == 5:
            api.items = [item(1, mark="")]

    api.before = after_a_while
    assert is_clean(await ledger.verdict(api))


async def test_what_has_had_its_time_is_stuck(ledger: Ledger) -> None:
    ledger.accepted(1, sent=False)
    api = Api([item(1, "queued")])
    verdict = await ledger.verdict(api, stuck_after_s=0)
    assert (verdict.stuck, verdict.lost, verdict.read_whole) == (1, 1, True)
    assert len(api.requests) == 3


async def test_a_fault_gives_what_is_open_its_time_anew(ledger: Ledger) -> None:
    ledger.accepted(1)
    ledger.write("faults", FaultEnded(t=time.time() + 30, name="late"))
    api = Api([item(1, "retrying")])

    def after_a_while(_request: httpx.Request, number: int) -> None:
        if number == 10:
            api.items = [item(1)]

    api.before = after_a_while
    verdict = await ledger.verdict(api, stuck_after_s=0)
    assert (verdict.stuck, is_clean(verdict)) == (0, True)


async def test_an_api_that_comes_back_is_waited_for(ledger: Ledger) -> None:
    ledger.accepted(1)

    def down(_request: httpx.Request, number: int) -> httpx.Response | None:
        if number == 1:
            raise httpx.ConnectError("refused")
        return httpx.Response(503) if number == 2 else None

    assert is_clean(await ledger.verdict(Api([item(1)], before=down)))


async def test_an_api_that_does_not_come_back_gives_a_verdict_that_is_not_clean(ledger: Ledger) -> None:
    ledger.accepted(1)
    down = Api(before=lambda _request, _number: httpx.Response(503))
    verdict = await ledger.verdict(down, patience_s=0.2)
    assert (verdict.stuck, verdict.read_whole, is_clean(verdict)) == (1, False, False)


async def test_wrong_credentials_are_no_verdict(ledger: Ledger) -> None:
    ledger.accepted(1)
    with pytest.raises(ApiRefuses, match="401"):
        await ledger.verdict(Api(before=lambda _request, _number: httpx.Response(401)))


async def test_what_looks_wrong_is_asked_for_once_more(ledger: Ledger) -> None:
    """The flag came after the first look."""
    ledger.accepted(1)
    ledger.write("provider", Effect(mark=mark_of(1), to="a@example.com", message_id="m"))
    api = Api([item(1)])

    def flagged_by_now(_request: httpx.Request, number: int) -> None:
        if number == 2:
            api.items = [item(1, flagged=True)]

    api.before = flagged_by_now
    verdict = await ledger.verdict(api)
    assert (verdict.silent_duplicates, verdict.possible_duplicates) == (0, 1)


async def test_what_was_stored_while_the_ledger_looked_is_found(ledger: Ledger) -> None:
    ledger.write(
        "client",
        Intent(mark=mark_of(1), key="k", channel="email", category="transactional"),
        Asked(key="k", ask=1),
        Silent(key="k", ask=1, why="timeout", ms=1),
    )
    ledger.write("provider", Effect(mark=mark_of(1), to="a@example.com", message_id="m"))
    api = Api()

    def stored_by_now(_request: httpx.Request, number: int) -> None:
        if number == 2:
            api.items = [item(1)]

    api.before = stored_by_now
    verdict = await ledger.verdict(api)
    assert (verdict.in_doubt_accepted, verdict.unaccepted, is_clean(verdict)) == (1, 0, True)


async def test_of_a_run_that_asked_for_nothing_nothing_is_asked(ledger: Ledger) -> None:
    api = Api([item(1)])
    assert is_clean(await ledger.verdict(api))
    assert api.requests == []


async def test_metadata_of_others_are_no_obstacle(ledger: Ledger) -> None:
    ledger.accepted(1)
    others: list[Item] = [{**item(2), "metadata": {}}, {**item(3), "metadata": {"mark": 7}}]
    assert is_clean(await ledger.verdict(Api([item(1), *others])))


def test_a_verdict_is_written_even_where_nobody_answers(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.accepted(1)
    plan = LedgerPlan(
        clients=[str(tmp_path / "client")],
        providers=[str(tmp_path / "provider")],
        faults=[],
        url=f"http://127.0.0.1:{ports.free_port()}",
        authorization="Bearer me",
        verdict=str(tmp_path / "verdict"),
        patience_s=0.2,
        settle_s=0,
    )
    (tmp_path / "plan").write_bytes(msgspec.json.encode(plan))
    monkeypatch.setattr("sys.argv", ["ledger", str(tmp_path / "plan")])
    main()
    verdict = msgspec.json.decode((tmp_path / "verdict").read_bytes(), type=Verdict)
    assert (verdict.accepted, verdict.sent, verdict.stuck, verdict.read_whole) == (1, 1, 1, False)


async def test_rest_is_when_nothing_was_added_for_so_long(tmp_path: Path) -> None:
    journal = tmp_path / "provider"
    journal.write_bytes(b"")
    assert await rest([journal], quiet_s=0.01, until=time.monotonic() + 60)
    assert not await rest([journal], quiet_s=60, until=time.monotonic())
