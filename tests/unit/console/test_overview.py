"""Looking never costs more than a twentieth of what it looks at, and one part that fails hides no other."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gateway_service.console.minutes import table_of
from gateway_service.domain.overview import MOST_RECENT, Kept
from gateway_service.domain.service_states import ServiceStates
from gateway_service.storage.overview import MinuteCount
from shared.contracts.http.notification_answers import NotificationStatus
from shared.database.errors import DatabaseUnavailable
from shared.process.clock import SystemClock
from shared.web.health import Readiness

MINUTE = datetime(2030, 1, 31, 8, 0, tzinfo=UTC)


class Dear:
    """A question that takes its time on a clock of its own."""

    def __init__(self, *, takes_s: float) -> None:
        self.now = 0.0
        self.asked = 0
        self._takes_s = takes_s

    async def ask(self) -> int:
        """How often it was asked."""
        self.asked += 1
        self.now += self._takes_s
        return self.asked


@pytest.mark.parametrize(("takes_s", "kept_s"), [(0.001, 1.0), (0.5, 10.0)])
async def test_what_took_long_is_kept_for_longer(takes_s: float, kept_s: float) -> None:
    dear = Dear(takes_s=takes_s)
    kept = Kept(dear.ask, clock=SystemClock(), fresh_s=1.0, monotonic=lambda: dear.now)
    first = await kept.part()
    assert first.value == 1
    dear.now += kept_s - 0.01
    assert await kept.part() == first, "with the time at which it was asked for"
    dear.now += 0.02
    assert (await kept.part()).value == 2


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), RuntimeError("a defect")])
async def test_a_part_that_fails_says_so_and_is_asked_again(error: Exception) -> None:
    errors = [error]
    now = 0.0

    async def ask() -> str:
        nonlocal now
        if errors:
            now += 4.0  # much was waited for in vain: no reason to wait long for another answer
            raise errors.pop()
        return "well again"

    kept = Kept(ask, clock=SystemClock(), fresh_s=1.0, monotonic=lambda: now)
    failed = await kept.part()
    assert failed.value is None
    assert failed.problem
    now += 5.0
    assert (await kept.part()).value == "well again"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.ReadTimeout(""), "did not answer within 3 s"),
        (httpx.ConnectError(""), "cannot be reached"),
        (httpx.Response(200, text="<p>a proxy</p>"), "what it answered cannot be read"),
    ],
)
async def test_why_a_service_is_not_there_is_said_in_words(
    answer: httpx.Response | Exception, words: str
) -> None:
    def answered(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    states = ServiceStates(
        ("gateway_service", Readiness()),
        {"user_service": "http://user"},
        transport=httpx.MockTransport(answered),
    )
    _, user = await states.all()
    assert (user.status, user.missing) == ("no_answer", (("service", words),))
    await states.close()


def counted(status: NotificationStatus, count: int, *, minutes_ago: int = 0) -> MinuteCount:
    """Of one minute."""
    return MinuteCount(minute=MINUTE - timedelta(minutes=minutes_ago), status=status, count=count)


def test_every_status_counts_in_one_column_of_its_minute() -> None:
    table = table_of([counted(status, 1) for status in NotificationStatus])
    (row,) = table.rows
    assert row.accepted == len(NotificationStatus)
    assert row.sent + row.under_way + row.failed + row.unknown + row.other == row.accepted
    assert (row.sent, row.failed, row.unknown) == (2, 2, 1)


def test_the_newest_minute_comes_first_and_a_cut_is_told() -> None:
    status = NotificationStatus.SENT
    table = table_of([counted(status, 1, minutes_ago=2), counted(status, 2)])
    assert [row.accepted for row in table.rows] == [2, 1]
    assert table.complete
    assert not table_of([counted(status, MOST_RECENT)]).complete
